"""Exact statistics of attention weights in O(n) memory: one streaming pass, given the log-sum-exp.

Every weight is made once (see `log_weights`), enters each statistic that was asked for, and is dropped. On CUDA a
kernel does so where it can (see `gpu`).
"""

import math
import threading
from collections.abc import Collection
from copy import copy

import torch
from torch import Tensor

from regard.engines.accumulate import BLOCK, ColumnStatistics, RowStatistics, Spot
from regard.engines.contract import Problem
from regard.engines.gpu import terms
from regard.engines.log_weights import FLOOR, LogWeights
from regard.engines.pairs import chunks, pair_chunks, subranges
from regard.engines.statistics import STATISTICS, Statistics, check_want
from regard.engines.workers import share
from regard.shapes import compute_dtype

CELLS = 64
KEY_TILE = 4 * BLOCK
TILE = 1024 * KEY_TILE

# Calls with more weights than this are shared among threads.
SHARED = 1 << 20

# How many numbers of queries or keys are prepared at a time.
PREPARED = 1 << 21

# A call with lengths that are no multiples of a tile has four shapes of tile.
_SHAPES_KEPT = 4


def observe(problem: Problem, lse: Tensor, want: Collection[str] = STATISTICS, *, cells: int = CELLS) -> Statistics:
    """Return statistics of the weights P = exp(S - lse).

    Args:
        problem: the call.
        lse: (B, H, Nq), natural log-sum-exp of its scores.
        want: names of `Statistics`.
        cells: the map has at most this many rows and columns.
    """
    wanted = check_want(want, STATISTICS)
    if not wanted:
        return Statistics()
    # Neither mode of the caller may reach in: buffers are kept from call to call, and numbers are exact.
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(problem.device.type, enabled=False):
        cell = (
            max(1, math.ceil(problem.sizes.queries / cells)),
            max(1, math.ceil(problem.sizes.keys / cells)),
        )
        if terms.against(problem, lse):
            return _observe(problem, lse, wanted, cell)
        from regard.engines.gpu.launch import summary  # it needs triton, which is optional

        return summary(problem, lse, wanted, cell)


def _observe(problem: Problem, lse: Tensor, wanted: frozenset[str], cell: tuple[int, int]) -> Statistics:
    sizes = problem.sizes
    pairs, like = (
        sizes.batch * sizes.heads,
        problem.query.new_empty(0, dtype=compute_dtype(problem.query.dtype)),
    )
    rows = RowStatistics(wanted, pairs, sizes.queries, like)
    columns = ColumnStatistics(wanted, pairs, sizes.queries, sizes.keys, cell, like)
    if sizes.pairs:
        _stream(problem, lse, rows, columns, like)
    lead = (sizes.batch, sizes.heads)

    def shaped(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.view(*lead, tensor.shape[-1])

    return Statistics(
        entropy=rows.entropy(lead, problem.sums_to_one),
        received=shaped(columns.received),
        received_max=shaped(columns.received_max),
        distance=rows.distance(lead),
        first=shaped(rows.first),
        map=columns.map(lead),
    )


def _stream(problem: Problem, lse: Tensor, rows: RowStatistics, columns: ColumnStatistics, like: Tensor) -> None:
    """Walk over pairs, shared among threads, strips of queries and tiles of keys."""
    sizes, cell = problem.sizes, columns.query_cell
    width = max(BLOCK, min(KEY_TILE, _up(sizes.keys, BLOCK)))
    height = max(cell, min(TILE // width, sizes.queries) // cell * cell)
    at_once = max(1, TILE // (height * width))

    def walk(group: range) -> None:
        prepared = LogWeights.of(problem, group, lse)
        mine = copy(columns)  # the room for a strip is each thread's own, the results are shared
        for pairs in subranges(group, at_once):
            weights = prepared.narrow(pairs)
            for queries in chunks(sizes.queries, height):
                spot = Spot(slice(pairs.start, pairs.stop), queries, _up(queries.stop - queries.start, cell))
                _strip(weights, spot, rows, mine, like)

    most = at_once * max(1, PREPARED // (at_once * sizes.width * sizes.keys))
    worthwhile = problem.device.type == "cpu" and sizes.pairs > SHARED
    each = math.ceil(sizes.batch * sizes.heads / torch.get_num_threads()) if worthwhile else most
    share(walk, pair_chunks(sizes, min(most, each)), worthwhile=worthwhile)


def _strip(weights: LogWeights, spot: Spot, rows: RowStatistics, columns: ColumnStatistics, like: Tensor) -> None:
    """Take in a range of queries, tile of keys by tile of keys."""
    columns.open(spot)
    many = spot.queries.stop - spot.queries.start
    for keys in chunks(weights.problem.sizes.keys, KEY_TILE):
        wide = keys.stop - keys.start
        S, P = _scratch.tile(len(weights.pairs), many, spot.padded, wide, like)
        if weights.tile(spot.queries, keys, out=S[:, :many, :wide]) is None:
            columns.skip(keys)
        else:
            torch.exp2(S, out=P)
            columns.add(keys, P)
            rows.add(spot, keys, P, S)
    columns.close(spot)


def _up(number: int, unit: int) -> int:
    """Return the number, rounded up to a multiple of a unit."""
    return -(-number // unit) * unit


class _Scratch(threading.local):
    """Room for tiles, kept from call to call: fresh memory would cost more than the arithmetic."""

    def __init__(self) -> None:
        self._tiles: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

    def tile(self, pairs: int, queries: int, padded: int, keys: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return room for logarithms, FLOOR where only padding is, and for weights; keys in whole blocks."""
        shape = (pairs, queries, padded, keys, like.dtype, like.device)
        if shape not in self._tiles:
            if len(self._tiles) == _SHAPES_KEPT:
                self._tiles.pop(next(iter(self._tiles)))
            S = like.new_full((pairs, padded, _up(keys, BLOCK)), FLOOR)
            self._tiles[shape] = S, torch.empty_like(S)
        return self._tiles[shape]


_scratch = _Scratch()
