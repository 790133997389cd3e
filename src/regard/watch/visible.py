"""Which keys a query may see, also where a model adds large negative numbers instead of forbidding."""

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.pairs import chunks
from regard.mechanisms.grid import Grid, Positions, count
from regard.mechanisms.modifiers import Bias, TensorBias
from regard.watch.records.chosen import ChosenBias
from regard.watch.records.pieces import PiecedBias

# Models that do not forbid by -inf add -10,000 (in bfloat16: -9,984) or a lower number.
HIDES = -9.0e3

_AT_ONCE = 1 << 22


def visible(problem: Problem, items: range) -> Tensor:
    """Return how many keys each query of some batch items may see, (1 or B, 1 or H, Nq)."""
    sizes = problem.sizes
    counts = [
        # Bytes are summed many times faster than booleans.
        visible_in(problem, queries, slice(0, sizes.keys), items).view(torch.uint8).sum(-1, dtype=torch.int32)
        for queries in chunks(sizes.queries, max(1, _AT_ONCE // max(1, len(items) * sizes.keys)))
    ]
    return torch.cat(counts, -1) if counts else torch.zeros((1, 1, 0), dtype=torch.int32, device=problem.device)


def visible_in(problem: Problem, queries: Positions, keys: Positions, items: range) -> Tensor:
    """Return which keys some queries of some batch items may see, (1 or B, 1 or H, queries, keys)."""
    batch = slice(items.start, items.stop)
    grid = Grid.rectangle(queries, keys, problem.sizes, problem.device, batch=batch)
    allowed = problem.mask.allowed(grid)
    tables = [each.on(grid) for each in problem.mechanism.modifiers if isinstance(each, Bias) and _is_table(each)]
    for added in (problem.mask.bias(grid), *tables):
        if added is not None:
            allowed = allowed & (added > HIDES)
    allowed = allowed.reshape((1,) * (4 - allowed.ndim) + tuple(allowed.shape))
    return allowed.expand(*allowed.shape[:2], count(queries), count(keys))


def _is_table(bias: Bias) -> bool:
    """Whether a bias is of numbers from a tensor, or some or several of such."""
    if isinstance(bias, PiecedBias):
        return all(_is_table(piece.rule) for piece in bias.pieces)
    return isinstance(bias, TensorBias) or (isinstance(bias, ChosenBias) and _is_table(bias.bias))
