"""Rows of scores to which a mask adds large numbers throughout, where torch's fused gradient is wrong.

Their log-sum-exp is so large that it drowns what it is to normalise. Masks that say "forbidden" with the least
number of a type rather than -inf make such rows of queries that may see nothing.
"""

import torch

from regard.engines.contract import Problem
from regard.engines.pairs import chunks
from regard.mechanisms.grid import Grid
from regard.mechanisms.modifiers import TensorBias
from regard.shapes import compute_dtype

LARGE = 1.0e3

# How many numbers are looked at in one go.
_AT_ONCE = 1 << 22


def adds_large_rows(problem: Problem) -> bool:
    """Whether the mask or a bias adds large numbers to a whole row of scores."""
    sizes = problem.sizes
    tensors = any(isinstance(each, TensorBias) for each in problem.mechanism.modifiers)
    if not sizes.pairs or not (problem.mask.adds or tensors):
        return False
    dtype = compute_dtype(problem.query.dtype)
    with torch.no_grad():
        for queries in chunks(sizes.queries, max(1, _AT_ONCE // (sizes.batch * sizes.heads * sizes.keys))):
            grid = Grid.rectangle(queries, slice(0, sizes.keys), sizes, problem.device)
            added = problem.added(grid, dtype)
            if added is None:
                return False
            peak = added.masked_fill(~problem.mask.allowed(grid), -torch.inf).amax(-1)
            if bool((peak.isfinite() & (peak.abs() > LARGE)).any()):
                return True
    return False
