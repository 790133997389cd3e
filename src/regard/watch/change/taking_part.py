"""Which queries of a call count when its outputs are averaged: padding does not."""

from functools import reduce

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.pairs import chunks
from regard.shapes import compute_dtype
from regard.watch.visible import visible_in

_AT_ONCE = 1 << 22


def mean_over_queries(output: Tensor, problem: Problem, kind: str) -> Tensor:
    """Return the mean (B, H, 1, Dv) of an output (B, H, Nq, Dv) over the queries that count; 0 where none does."""
    counts = taking_part(problem, kind).unsqueeze(-1)
    total = output.masked_fill(~counts, 0).sum(2, keepdim=True, dtype=compute_dtype(output.dtype))
    return (total / counts.sum(2, keepdim=True).clamp(min=1)).to(output.dtype)


def taking_part(problem: Problem, kind: str) -> Tensor:
    """Return which queries count, (1 or B, 1 or H, Nq).

    Those count that see a key; in self-attention without a cache, only those at positions that some query sees as a
    key, since a model that is padded hides the padding from all, but lets it look.
    """
    sizes = problem.sizes
    if not sizes.pairs:
        return torch.zeros((1, 1, sizes.queries), dtype=torch.bool, device=problem.device)
    step = max(1, _AT_ONCE // (sizes.batch * sizes.heads * sizes.keys))
    tiles = [
        visible_in(problem, queries, slice(0, sizes.keys), range(sizes.batch))
        for queries in chunks(sizes.queries, step)
    ]
    seeing = torch.cat([tile.any(-1) for tile in tiles], -1)
    if kind == "cross" or sizes.queries != sizes.keys:
        return seeing
    return seeing & reduce(torch.logical_or, [tile.any(-2) for tile in tiles])
