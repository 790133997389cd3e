"""The oracle: attention written as its formula, dense, in float64 if asked, differentiable twice.

    S = scale * Q K^T + bias,   l = log sum_k exp(S),   P = exp(S - l),   O = P V

It holds the full matrix of scores and is what every other engine is tested against.
"""

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.nonfinite import clean
from regard.engines.partial import Partial
from regard.mechanisms.grid import Grid
from regard.shapes import compute_dtype


class Reference:
    """Dense attention in plain tensor operations."""

    name = "reference"

    def against(self, problem: Problem) -> list[str]:
        """Return no reasons: this engine computes everything."""
        return []

    def memory(self, problem: Problem) -> int:
        """Return room for scores, their exponentials and the weights."""
        return 3 * problem.dense_bytes()

    def run(self, problem: Problem) -> Partial:
        """Compute scores, weights, output."""
        cleaned = clean(problem)
        return cleaned.restore(_attention(cleaned.problem))


def _attention(problem: Problem) -> Partial:
    sizes, dtype = problem.sizes, compute_dtype(problem.query.dtype)
    if sizes.keys == 0:
        return problem.nothing()
    query = problem.query.to(dtype)
    key, value = (t.to(dtype).repeat_interleave(sizes.group, dim=1) for t in (problem.key, problem.value))
    grid = Grid.whole(sizes, problem.device)
    S = problem.scale * query @ key.transpose(-1, -2)
    bias = problem.added(grid, dtype)
    if bias is not None:
        S = S + bias
    S = S.masked_fill(~problem.mask.allowed(grid), -torch.inf)
    E, m = _shifted_exponentials(S)
    total = E.sum(-1, keepdim=True)
    sees_none = total == 0
    P = E / total.masked_fill(sees_none, 1.0)
    lse = (m + total.log()).masked_fill(sees_none, -torch.inf).squeeze(-1)
    return Partial(output=(P @ value).to(problem.query.dtype), lse=lse.detach())


def _shifted_exponentials(S: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp(S - m) and m, the largest score of each row, or 0 where a row has none."""
    m = S.detach().amax(-1, keepdim=True)
    m = m.masked_fill(m == -torch.inf, 0.0)
    return torch.exp(S - m), m
