"""Which keys each block of queries visits, planned from what the mask leaves of tiles.

A visit is a block of queries and two sets of keys: those of full tiles, which need no mask, and those of partial
tiles, which do. Empty tiles are in neither. Where batch items or heads have different tiles, and visiting the union
of them would cost much more, each has visits of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.mechanisms.grid import Blocks, Positions
from regard.mechanisms.masks.rule import Mask, Tile
from regard.mechanisms.masks.tiles import classify
from regard.shapes import Sizes

# The finest tile. Keys are visited in multiples of it, queries in blocks of HEIGHTS.
BASE = 64

# How much more a visited pair costs in blocks of so many queries than in large ones, as measured on the CPU.
HEIGHTS = {64: 1.15, 128: 1.1, 256: 1.03, 512: 1.0}

# One call of a kernel costs as much as visiting so many pairs.
_CALL = 40_000

# Full tiles are visited apart from partial ones where they hold at least so many keys; else all take a mask.
_APART = 256

# Different batch items or heads are planned together while that visits at most so much more.
_UNION = 1.15


@dataclass(frozen=True, eq=False)
class Visit:
    """A block of queries and the keys that they visit.

    Attributes:
        batch, heads: which batch items and query heads.
        queries: which queries.
        free: keys that each of these queries may see, or None.
        masked: keys of which each may see a part, or None.
    """

    batch: slice
    heads: slice
    queries: slice
    free: Positions | None
    masked: Positions | None


@dataclass(frozen=True, eq=False)
class Plan:
    """All visits of a call.

    Attributes:
        visits: no two of them share a (batch, head, query).
        pairs: how many (batch, head, query, key) they visit.
    """

    visits: tuple[Visit, ...]
    pairs: int


def plan(mask: Mask, sizes: Sizes, device: torch.device) -> Plan:
    """Return the visits that cover what a mask allows in a call of these sizes."""
    kinds = classify(mask, Blocks.of(sizes, BASE, BASE), device)
    visits: list[Visit] = []
    for batch, heads, part in _groups(kinds, sizes):
        height = _height(part, sizes, (batch.stop - batch.start) * (heads.stop - heads.start))
        visits.extend(_visits(part, sizes, height, batch, heads, device))
    return Plan(tuple(visits), sum(_pairs(visit) for visit in visits))


def _groups(kinds: Tensor, sizes: Sizes) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield batch items and heads that are planned together, and the kinds (rows, columns) of their tiles."""
    everyone = (slice(0, sizes.batch), slice(0, sizes.heads))
    if not kinds.numel():
        return
    if _alike(kinds.flatten(0, 1)):
        yield *everyone, _union(kinds.flatten(0, 1))
        return
    for batch in range(kinds.shape[0]):
        items = everyone[0] if kinds.shape[0] == 1 else slice(batch, batch + 1)
        if _alike(kinds[batch]):
            yield items, everyone[1], _union(kinds[batch])
            continue
        for head in range(kinds.shape[1]):
            yield items, slice(head, head + 1), kinds[batch, head]


def _alike(kinds: Tensor) -> bool:
    """Whether several tilings (n, rows, columns) visit about the same tiles."""
    if kinds.shape[0] == 1:
        return True
    seen = kinds != Tile.EMPTY
    return int(seen.any(0).sum()) * kinds.shape[0] <= _UNION * int(seen.sum())


def _union(kinds: Tensor) -> Tensor:
    """Return tiles that are empty or full only where all of several tilings say so."""
    if kinds.shape[0] == 1:
        return kinds[0]
    low, high = kinds.aminmax(dim=0)
    return torch.where(low == high, low, torch.full_like(low, int(Tile.PARTIAL)))


def _stacked(kinds: Tensor, times: int) -> Tensor:
    """Return the least and the largest kind (2, rows, columns) of tiles `times` as high; the last may be lower."""
    missing = -kinds.shape[0] % times
    rows = torch.cat([kinds, kinds[-1:].expand(missing, -1)]) if missing else kinds
    return torch.stack(rows.unflatten(0, (-1, times)).aminmax(dim=1))


def _height(kinds: Tensor, sizes: Sizes, pairs: int) -> int:
    """Return how many queries a block has at the least cost."""
    costs = {}
    for height, rate in HEIGHTS.items():
        seen = (_stacked(kinds, height // BASE)[1] != Tile.EMPTY).sum(-1)
        tall = min(height, sizes.queries)
        costs[height] = int(seen.sum()) * BASE * tall * rate * pairs + int((seen > 0).sum()) * _CALL
    return min(costs, key=lambda height: costs[height])


def _visits(
    kinds: Tensor, sizes: Sizes, height: int, batch: slice, heads: slice, device: torch.device
) -> Iterator[Visit]:
    low, high = _stacked(kinds, height // BASE)
    for row, (least, most) in enumerate(zip(low, high, strict=True)):
        queries = slice(row * height, min((row + 1) * height, sizes.queries))
        full, seen = least == Tile.FULL, most != Tile.EMPTY
        if not bool(seen.any()):
            continue
        if not bool((seen & ~full).any()):
            yield Visit(batch, heads, queries, _keys(full, sizes, device), None)
        elif int(full.sum()) * BASE >= _APART:
            yield Visit(batch, heads, queries, _keys(full, sizes, device), _keys(seen & ~full, sizes, device))
        else:
            yield Visit(batch, heads, queries, None, _keys(seen, sizes, device))


def _keys(columns: Tensor, sizes: Sizes, device: torch.device) -> Positions:
    """Return the keys of some columns of tiles: a range where they are one piece, else positions."""
    index = columns.nonzero().flatten()
    first, last = int(index[0]), int(index[-1])
    if last - first + 1 == len(index):
        return slice(first * BASE, min((last + 1) * BASE, sizes.keys))
    positions = (index.unsqueeze(-1) * BASE + torch.arange(BASE)).flatten()
    return positions[positions < sizes.keys].to(device)


def _pairs(visit: Visit) -> int:
    keys = sum(_length(keys) for keys in (visit.free, visit.masked) if keys is not None)
    rows: int = (
        (visit.batch.stop - visit.batch.start)
        * (visit.heads.stop - visit.heads.start)
        * (visit.queries.stop - visit.queries.start)
    )
    return rows * keys


def _length(keys: Positions) -> int:
    return int(keys.stop - keys.start) if isinstance(keys, slice) else len(keys)
