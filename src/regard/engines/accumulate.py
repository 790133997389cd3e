"""Two accumulators that take in a strip of queries tile by tile: what queries say, and what keys receive.

A strip is a range of queries of some (batch, head) pairs against all keys. Its tiles hold weights P (pairs,
queries, keys) and their base-2 logarithms; both accumulators see each tile once.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from regard.engines.statistics import Distance, PooledMap

# Moments of key positions are summed within blocks of this many keys, relative to the block's middle, so that
# float32 does not lose them; the blocks are put together in float64.
BLOCK = 128

# A matrix product whose width is no multiple of this costs twice as much on the CPU.
_LANES = 16


@dataclass(frozen=True, eq=False)
class Spot:
    """Where a tile or strip stands: which pairs, which queries, and their number with padding."""

    pairs: slice
    queries: slice
    padded: int


class RowStatistics:
    """Entropy, first-key weight and distance of each query."""

    def __init__(self, want: frozenset[str], pairs: int, queries: int, like: Tensor) -> None:
        self._dtype = like.dtype

        def rows(name: str) -> Tensor | None:
            return like.new_zeros((pairs, queries)) if name in want else None

        self._logarithms, self._mass = rows("entropy"), rows("entropy")
        self.first = rows("first")
        self._moments = like.new_zeros((pairs, queries, 3), dtype=torch.float64) if "distance" in want else None

    def add(self, spot: Spot, keys: slice, P: Tensor, S: Tensor) -> None:
        """Take in a tile of weights P and their base-2 logarithms S, both padded to whole blocks; uses P up."""
        queries = spot.queries.stop - spot.queries.start
        if self.first is not None and keys.start == 0:
            self.first[spot.pairs, spot.queries] = P[:, :queries, 0]
        if self._moments is not None:
            blocks = P.shape[-1] // BLOCK
            within = (P @ _block_sums(blocks, P.dtype, P.device))[:, :queries].double()
            self._moments[spot.pairs, spot.queries] += within @ _shift(keys.start, blocks, P.device)
        if self._logarithms is not None and self._mass is not None:
            self._mass[spot.pairs, spot.queries] += P.sum(-1)[:, :queries]
            self._logarithms[spot.pairs, spot.queries] += P.mul_(S).sum(-1)[:, :queries]

    def entropy(self, lead: tuple[int, int], sums_to_one: bool) -> Tensor | None:
        """Return -sum P log P of the weights, divided by their sum where only rounding keeps it from being 1."""
        if self._logarithms is None or self._mass is None:
            return None
        if not sums_to_one:
            return (-self._logarithms * math.log(2)).view(*lead, self._logarithms.shape[-1])
        mass = self._mass.masked_fill(self._mass == 0, 1.0)
        entropy = (mass.log2() - self._logarithms / mass) * math.log(2)
        return entropy.view(*lead, entropy.shape[-1])

    def distance(self, lead: tuple[int, int]) -> Distance | None:
        """Return the distances with axes (B, H, Nq)."""
        if self._moments is None:
            return None
        mass, first, second = self._moments.unbind(-1)
        mean = first / mass
        spread = (second / mass - mean.square()).clamp(min=0).sqrt()
        offset = mean - torch.arange(mean.shape[-1], device=mean.device)
        return Distance(*(t.to(self._dtype).view(*lead, t.shape[-1]) for t in (offset, spread)))


@lru_cache(maxsize=64)
def _block_sums(blocks: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix that takes weights to each block's mass, first and second moment."""
    offset = torch.arange(BLOCK, dtype=dtype, device=device) - (BLOCK - 1) / 2
    powers = torch.stack([torch.ones_like(offset), offset, offset.square()], -1)
    sums = torch.block_diag(*[powers] * blocks)
    return torch.nn.functional.pad(sums, (0, -3 * blocks % _LANES))


@lru_cache(maxsize=4096)
def _shift(start: int, blocks: int, device: torch.device) -> Tensor:
    """Return the matrix (float64) that takes moments about blocks' middles to the moments about position 0."""
    middle = start + torch.arange(blocks, dtype=torch.float64) * BLOCK + (BLOCK - 1) / 2
    one, none = torch.ones_like(middle), torch.zeros_like(middle)
    rows = torch.stack([one, middle, middle.square(), none, one, 2 * middle, none, none, one], -1)
    shift = rows.view(-1, 3)
    return torch.nn.functional.pad(shift, (0, 0, 0, -3 * blocks % _LANES)).to(device)


class ColumnStatistics:
    """Weight received by each key, summed and largest, and the pooled map."""

    def __init__(
        self, want: frozenset[str], pairs: int, queries: int, keys: int, cells: tuple[int, int], like: Tensor
    ) -> None:
        self.query_cell, self.key_cell = cells
        self._queries, self._keys = queries, keys
        self._summed = bool(want & {"received", "map"})
        self._largest = bool(want & {"received_max", "map"})
        self.received = like.new_zeros((pairs, keys)) if "received" in want else None
        self.received_max = like.new_zeros((pairs, keys)) if "received_max" in want else None
        cells_shape = (pairs, math.ceil(queries / self.query_cell), math.ceil(keys / self.key_cell))
        self._mean = like.new_zeros(cells_shape) if "map" in want else None
        self._max = like.new_zeros(cells_shape) if "map" in want else None
        self._sum_strip = self._max_strip = like.new_empty(0)

    def open(self, spot: Spot) -> None:
        """Begin a strip."""
        shape = (spot.pairs.stop - spot.pairs.start, spot.padded // self.query_cell, self._keys)
        if self._summed:
            self._sum_strip = _room(self._sum_strip, shape)
        if self._largest:
            self._max_strip = _room(self._max_strip, shape)

    def skip(self, keys: slice) -> None:
        """Take in that the mask leaves nothing of a tile."""
        for strip, used in ((self._sum_strip, self._summed), (self._max_strip, self._largest)):
            if used:
                strip[..., keys] = 0

    def add(self, keys: slice, P: Tensor) -> None:
        """Take in a tile of weights, padded with zeros."""
        cells = P.view(P.shape[0], -1, self.query_cell, P.shape[2])[..., : keys.stop - keys.start]
        if self._summed:
            torch.sum(cells, 2, out=self._sum_strip[..., keys])
        if self._largest:
            torch.amax(cells, 2, out=self._max_strip[..., keys])

    def close(self, spot: Spot) -> None:
        """Add a strip to the whole."""
        if self.received is not None:
            self.received[spot.pairs] += self._sum_strip.sum(1)
        if self.received_max is not None:
            into = self.received_max[spot.pairs]
            torch.maximum(into, self._max_strip.amax(1), out=into)
        if self._mean is not None and self._max is not None:
            start = spot.queries.start // self.query_cell
            rows = slice(start, start + self._sum_strip.shape[1])
            self._mean[spot.pairs, rows] = self._pool(self._sum_strip).sum(-1)
            self._max[spot.pairs, rows] = self._pool(self._max_strip).amax(-1)

    def _pool(self, strip: Tensor) -> Tensor:
        """Return a strip with its keys in cells on an axis of their own, the last cell filled with zeros."""
        missing = -self._keys % self.key_cell
        padded = torch.nn.functional.pad(strip, (0, missing)) if missing else strip
        return padded.view(*strip.shape[:-1], -1, self.key_cell)

    def map(self, lead: tuple[int, int]) -> PooledMap | None:
        """Return the map with axes (B, H, rows, columns)."""
        if self._mean is None or self._max is None:
            return None
        count = _counts(self._queries, self.query_cell, self._mean).unsqueeze(-1) * _counts(
            self._keys, self.key_cell, self._mean
        )
        mean, largest = (t.view(*lead, *t.shape[1:]) for t in (self._mean / count, self._max))
        return PooledMap(mean, largest, self.query_cell, self.key_cell)


def _counts(positions: int, cell: int, like: Tensor) -> Tensor:
    """Return how many positions each cell spans."""
    cells = math.ceil(positions / cell)
    counts = like.new_full((cells,), cell)
    if cells:
        counts[-1] = positions - (cells - 1) * cell
    return counts


def _room(room: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return room of this shape, the old one if it fits; what is in it is overwritten or skipped, tile by tile."""
    return room if room.shape == shape else room.new_empty(shape)
