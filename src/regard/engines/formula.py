"""The formula of attention on a part of the positions, from the mechanism's own definitions.

S = score(Q, K), modified, masked,   P = weigh(S), dropped,   O = P V
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.mechanisms.grid import Grid
from regard.mechanisms.random import uniform
from regard.mechanisms.scores import Dot
from regard.mechanisms.weighing import Weighed
from regard.shapes import compute_dtype


@dataclass(frozen=True, eq=False)
class Rows:
    """Complete rows of attention.

    Attributes:
        output: (..., queries, Dv).
        weighed: the weights, before dropout, and what came beside them.
    """

    output: Tensor
    weighed: Weighed


def scores(problem: Problem, Q: Tensor, K: Tensor, grid: Grid) -> Tensor:
    """Return scores (..., queries, keys), modified and added to; -inf where forbidden.

    Args:
        problem: the call.
        Q: (..., queries, D).
        K: (..., keys, D), once a query head.
        grid: the positions; its axes are those of the result.
    """
    S = unmasked(problem, Q, K, grid)
    return S.masked_fill(~problem.mask.allowed(grid), -torch.inf)


def unmasked(problem: Problem, Q: Tensor, K: Tensor, grid: Grid) -> Tensor:
    """Return scores as `scores` does, with nothing forbidden yet."""
    score = problem.score
    if isinstance(score, Dot):
        S = score.between(Q, K)
    else:
        vector = score.vector.to(Q.dtype)
        S = score.between(Q, K, vector[grid.head].squeeze(-2) if vector.ndim == 2 else vector)
    if problem.is_dot_and_bias:
        added = problem.added(grid, S.dtype)
        return S if added is None else S + added
    for modifier in problem.mechanism.modifiers:
        S = modifier.apply(S, grid)
    added = problem.added_by_mask(grid, S.dtype)
    return S if added is None else S + added


def written_out(problem: Problem, grid: Grid, dtype: torch.dtype) -> Tensor:
    """Return mask and biases as numbers to add, -inf where forbidden; four axes, 1 long where not needed."""
    bias = problem.added(grid, dtype)
    numbers = torch.zeros((), dtype=dtype, device=problem.device) if bias is None else bias
    added = torch.where(problem.mask.allowed(grid), numbers, -torch.inf)
    return added.reshape((1,) * (4 - added.ndim) + tuple(added.shape))


def added_and_unseen(problem: Problem, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return `written_out` of all positions, and (B, H, Nq) which queries see no key."""
    sizes = problem.sizes
    added = written_out(problem, Grid.whole(sizes, problem.device), dtype)
    unseen = added.amax(-1) == -torch.inf
    return added, unseen.expand(sizes.batch, sizes.heads, sizes.queries)


def dense_rows(problem: Problem) -> Rows:
    """Return all rows at once, with axes (B, H, Nq), in the type of the computation."""
    sizes, dtype = problem.sizes, compute_dtype(problem.query.dtype)
    K, V = (t.to(dtype).repeat_interleave(sizes.group, dim=1) for t in (problem.key, problem.value))
    return rows(problem, problem.query.to(dtype), K, V, Grid.whole(sizes, problem.device))


def rows(problem: Problem, Q: Tensor, K: Tensor, V: Tensor, grid: Grid) -> Rows:
    """Return complete rows: scores, weights, output; arguments as for `scores`, V (..., keys, Dv)."""
    weighed = problem.mechanism.weighing.weigh(scores(problem, Q, K, grid), grid, problem.mechanism.seed)
    return Rows(_dropped(problem, weighed.weights, grid) @ V, weighed)


def _dropped(problem: Problem, P: Tensor, grid: Grid) -> Tensor:
    """Return weights of which some are dropped by the seed, the others made larger."""
    mechanism = problem.mechanism
    if not mechanism.dropout or mechanism.seed is None:
        return P
    if mechanism.dropout == 1:
        return P * 0.0
    # Sampling draws by the same seed; the complement makes the two independent.
    keep = uniform(~mechanism.seed, grid) >= mechanism.dropout
    return P * keep.to(P.dtype) / (1 - mechanism.dropout)
