"""Which keys each block of queries visits, planned from what the mask leaves of tiles.

A visit is a block of queries and two sets of keys: those of full tiles, which need no mask, and those of partial
tiles, which do. Empty tiles are in neither. Keys that a tall block may see as a whole are visited by it at once;
shorter blocks visit the rest. Where batch items or heads have different tiles, and visiting the union of them would
cost much more, each has visits of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from regard.mechanisms.grid import Blocks, Positions, count
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.mods import BlockRule, MaskMod
from regard.mechanisms.masks.rule import Mask, Tile
from regard.mechanisms.masks.tiles import classify
from regard.mechanisms.walk import parts_in
from regard.shapes import Sizes

# The finest tile. Keys are visited in multiples of it, queries in blocks of HEIGHTS.
BASE = 64

# How much more a visited pair costs in blocks of so many queries than in tall ones, as measured on the CPU.
HEIGHTS = {64: 1.3, 128: 1.2, 256: 1.1, 512: 1.08}
TALL = 1024

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
        again: whether an earlier visit had some of these queries, with other keys.
    """

    batch: slice
    heads: slice
    queries: slice
    free: Positions | None
    masked: Positions | None
    again: bool


@dataclass(frozen=True, eq=False)
class Plan:
    """All visits of a call.

    Attributes:
        visits: no two of them share a (batch, head, query, key).
        runs: the same visits in runs; those of a run of several differ by where they stand only.
        pairs: how many (batch, head, query, key) they visit.
        added: masks of visits, once they are made.
    """

    visits: tuple[Visit, ...]
    runs: tuple[tuple[Visit, ...], ...]
    pairs: int
    added: "Store" = field(default_factory=lambda: Store())


@dataclass(frozen=True, eq=False)
class Added:
    """What is added to the scores of a visit.

    Attributes:
        numbers: (1 or B, 1 or H, queries, keys), -inf where forbidden; None for nothing.
        blind: (1 or B, 1 or H, queries), which queries may see none of the keys; None where there are none.
    """

    numbers: Tensor | None = None
    blind: Tensor | None = None


class Store:
    """Masks of visits, as many as there is room for."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Added] = {}
        self._bytes = 0

    def get(self, key: tuple[object, ...], make: Callable[[], Added]) -> Added:
        """Return what is kept under a key, else make it, and keep it if there is room."""
        if key in self._kept:
            return self._kept[key]
        made = make()
        size = 0 if made.numbers is None else made.numbers.nbytes
        if self._bytes + size <= _ROOM:
            self._bytes += size
            self._kept[key] = made
        return made


# Plans of masks that are still in use, by mask and then by sizes, device and the state of the mask's tensors.
_kept: WeakKeyDictionary[Mask, dict[object, Plan]] = WeakKeyDictionary()

_keeping = Lock()

# Where masks are defined of which all is known that may change.
_OURS = "regard.mechanisms.masks."

# How many bytes of masks of its visits a plan may keep.
_ROOM = 1 << 24

# A mask is planned for a few sizes only, since each plan may hold masks of its tiles.
_PLANS_KEPT = 4


def planned(mask: Mask, sizes: Sizes, device: torch.device) -> Plan:
    """Return the plan of a mask, the one made before where nothing can have changed since."""
    state = _state(mask)
    if state is None:
        return plan(mask, sizes, device)
    key = (sizes, device, state)
    with _keeping:
        found = _kept.get(mask, {}).get(key)
    if found is None:
        found = plan(mask, sizes, device)
        with _keeping:
            plans = _kept.setdefault(mask, {})
            while len(plans) >= _PLANS_KEPT:
                plans.pop(next(iter(plans)))
            plans[key] = found
    return found


def _state(mask: Mask) -> tuple[int, ...] | None:
    """Return the versions of a mask's tensors; None where something else may change: functions, other classes."""
    parts = list(parts_in(mask))
    masks = [part for part in parts if isinstance(part, Mask)]
    if any(isinstance(each, MaskMod | BlockRule) or not type(each).__module__.startswith(_OURS) for each in masks):
        return None
    tensors = [part for part in parts if isinstance(part, Tensor)]
    return None if any(t.is_inference() for t in tensors) else tuple(t._version for t in tensors)


def plan(mask: Mask, sizes: Sizes, device: torch.device) -> Plan:
    """Return the visits that cover what a mask allows in a call of these sizes."""
    kinds = classify(mask, Blocks.of(sizes, BASE, BASE), device)
    visits: list[Visit] = []
    for batch, heads, part in _groups(kinds, sizes):
        place = _Place(batch, heads, sizes, device)
        tall, rest = _tall(part, place)
        height = _height(rest, sizes, (batch.stop - batch.start) * (heads.stop - heads.start))
        visits += [*tall, *_visits(rest, place, height, bool(tall))]
    runs = _runs(visits) if isinstance(mask, Band) else [(visit,) for visit in visits]
    return Plan(tuple(visits), tuple(runs), sum(_pairs(visit) for visit in visits))


def _runs(visits: list[Visit]) -> list[tuple[Visit, ...]]:
    """Return the visits of a band in runs along its diagonal."""
    runs: list[list[Visit]] = []
    for visit in visits:
        if runs and _follows(runs[-1][-1], visit):
            runs[-1].append(visit)
        else:
            runs.append([visit])
    return [tuple(run) for run in runs]


def _follows(before: Visit, visit: Visit) -> bool:
    """Whether a visit is the one before, moved along the diagonal by its height."""
    if before.free is not None or visit.free is not None or before.again or visit.again:
        return False
    if not (isinstance(before.masked, slice) and isinstance(visit.masked, slice)):
        return False
    height = before.queries.stop - before.queries.start

    def moved(one: slice, other: slice) -> bool:
        return (one.start + height, one.stop + height) == (other.start, other.stop)

    alike = (before.batch, before.heads) == (visit.batch, visit.heads)
    return alike and moved(before.queries, visit.queries) and moved(before.masked, visit.masked)


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


@dataclass(frozen=True, eq=False)
class _Place:
    """What the visits of one tiling have in common."""

    batch: slice
    heads: slice
    sizes: Sizes
    device: torch.device

    def visit(
        self, row: int, height: int, free: Tensor | None, masked: Tensor | None, again: bool = False
    ) -> Visit:
        """Return the visit of a row of blocks to some columns of tiles."""
        queries = slice(row * height, min((row + 1) * height, self.sizes.queries))
        return Visit(self.batch, self.heads, queries, self._keys(free), self._keys(masked), again)

    def _keys(self, columns: Tensor | None) -> Positions | None:
        """Return the keys of some columns of tiles: a range where they are one piece, else positions."""
        if columns is None:
            return None
        index = columns.nonzero().flatten()
        first, last = int(index[0]), int(index[-1])
        if last - first + 1 == len(index):
            return slice(first * BASE, min((last + 1) * BASE, self.sizes.keys))
        positions = (index.unsqueeze(-1) * BASE + torch.arange(BASE, device="cpu")).flatten()
        return positions[positions < self.sizes.keys].to(self.device)


def _tall(kinds: Tensor, place: _Place) -> tuple[list[Visit], Tensor]:
    """Return visits of tall blocks to keys that they may see as a whole, and the kinds of what is left."""
    times = TALL // BASE
    full = _stacked(kinds, times)[0] == Tile.FULL
    full &= full.sum(-1, keepdim=True) * BASE >= _APART
    visits = [place.visit(row, TALL, columns, None) for row, columns in enumerate(full) if bool(columns.any())]
    if not visits:
        return [], kinds
    done = full.repeat_interleave(times, dim=0)[: kinds.shape[0]]
    return visits, torch.where(done, torch.full_like(kinds, int(Tile.EMPTY)), kinds)


def _visits(kinds: Tensor, place: _Place, height: int, again: bool) -> Iterator[Visit]:
    low, high = _stacked(kinds, height // BASE)
    full, seen = low == Tile.FULL, high != Tile.EMPTY
    partial = seen & ~full
    counts = torch.stack([full.sum(-1), partial.sum(-1)], -1).tolist()
    for row, (many_full, many_partial) in enumerate(counts):
        if many_full and not many_partial:
            yield place.visit(row, height, full[row], None, again)
        elif many_full * BASE >= _APART:
            yield place.visit(row, height, full[row], partial[row], again)
        elif many_partial:
            yield place.visit(row, height, None, seen[row], again)


def _pairs(visit: Visit) -> int:
    keys = sum(count(keys) for keys in (visit.free, visit.masked) if keys is not None)
    rows: int = (
        (visit.batch.stop - visit.batch.start)
        * (visit.heads.stop - visit.heads.start)
        * (visit.queries.stop - visit.queries.start)
    )
    return rows * keys
