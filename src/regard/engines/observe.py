"""Exact statistics of attention weights in O(n) memory: one streaming pass, given the log-sum-exp.

Every weight is made once (see `log_weights`), enters each statistic that was asked for, and is dropped.
"""

import math
from collections.abc import Collection

import torch
from torch import Tensor

from regard.engines.accumulate import BLOCK, ColumnStatistics, RowStatistics, Spot
from regard.engines.contract import Problem
from regard.engines.log_weights import FLOOR, LogWeights, chunks, pair_chunks
from regard.engines.statistics import STATISTICS, Statistics, check_want
from regard.shapes import compute_dtype

CELLS = 64
KEY_TILE = 4 * BLOCK
TILE = 1024 * KEY_TILE


@torch.no_grad()
def observe(problem: Problem, lse: Tensor, want: Collection[str] = STATISTICS, *, cells: int = CELLS) -> Statistics:
    """Return statistics of the weights P = exp(S - lse).

    Args:
        problem: the call.
        lse: (B, H, Nq), natural log-sum-exp of its scores.
        want: names of `Statistics`.
        cells: the map has at most this many rows and columns.
    """
    wanted, sizes = check_want(want, STATISTICS), problem.sizes
    if not wanted:
        return Statistics()
    cell = (math.ceil(max(1, sizes.queries) / cells), math.ceil(max(1, sizes.keys) / cells))
    pairs, like = sizes.batch * sizes.heads, problem.query.new_empty(0, dtype=compute_dtype(problem.query.dtype))
    rows = RowStatistics(wanted, pairs, sizes.queries, sizes.keys, like)
    columns = ColumnStatistics(wanted, pairs, sizes.queries, sizes.keys, cell, like)
    _stream(problem, lse, rows, columns, like)
    lead = (sizes.batch, sizes.heads)

    def shaped(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.view(*lead, tensor.shape[-1])

    return Statistics(
        entropy=shaped(rows.entropy),
        received=shaped(columns.received),
        received_max=shaped(columns.received_max),
        distance=rows.distance((*lead, sizes.queries)),
        first=shaped(rows.first),
        map=columns.map(lead),
    )


def _stream(problem: Problem, lse: Tensor, rows: RowStatistics, columns: ColumnStatistics, like: Tensor) -> None:
    """Walk over pairs, strips of queries and tiles of keys."""
    scratch = _Scratch(like)
    sizes, cell = problem.sizes, columns.query_cell
    width = max(BLOCK, min(KEY_TILE, _up(sizes.keys, BLOCK)))
    tallest = TILE // width // min(2, max(1, sizes.batch * sizes.heads))
    height = max(cell, min(tallest, sizes.queries) // cell * cell)
    for pairs in pair_chunks(sizes, TILE // (height * width)):
        weights = LogWeights.of(problem, pairs, lse)
        for queries in chunks(sizes.queries, height):
            spot = Spot(slice(pairs.start, pairs.stop), queries, _up(queries.stop - queries.start, cell))
            rows.open(spot)
            columns.open(spot)
            for keys in chunks(sizes.keys, KEY_TILE):
                many, wide = queries.stop - queries.start, keys.stop - keys.start
                S, P = scratch.tile(len(pairs), many, spot.padded, wide)
                if weights.tile(queries, keys, out=S[:, :many, :wide]) is not None:
                    torch.exp2(S, out=P)
                    columns.add(keys, P)
                    rows.add(spot, keys, P, S)
            rows.close(spot)
            columns.close(spot)


def _up(number: int, unit: int) -> int:
    """Return the number, rounded up to a multiple of a unit."""
    return -(-number // unit) * unit


class _Scratch:
    """Room for tiles, kept for each shape that occurs: fresh memory would cost as much as the arithmetic."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._tiles: dict[tuple[int, int, int, int], tuple[Tensor, Tensor]] = {}

    def tile(self, pairs: int, queries: int, padded: int, keys: int) -> tuple[Tensor, Tensor]:
        """Return room for logarithms, FLOOR where only padding is, and for weights; keys in whole blocks."""
        shape = (pairs, queries, padded, keys)
        if shape not in self._tiles:
            S = self._like.new_full((pairs, padded, _up(keys, BLOCK)), FLOOR)
            self._tiles[shape] = S, torch.empty_like(S)
        return self._tiles[shape]
