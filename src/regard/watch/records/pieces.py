"""One mask, or one modifier, for several calls put together: each piece of the whole is asked as its own call was.

The steps of a generation are pieces that lie below one another, batches that are merged lie behind one another.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.mechanisms.modifiers import Bias, Modifier
from regard.shapes import Sizes, broadcast_shapes

# Of more pieces than this, what they leave of a block is not told.
_FEW = 32

Range = tuple[int, int]
R = TypeVar("R", bound=Mask | Modifier)


@dataclass(frozen=True, eq=False)
class Piece(Generic[R]):
    """Where a call lies in the whole, and what it was.

    Attributes:
        items: its batch items there, from and to.
        queries: its queries.
        keys: its keys.
        sizes: the call's own sizes.
        rule: what is asked.
    """

    items: Range
    queries: Range
    keys: Range
    sizes: Sizes
    rule: R


@dataclass(frozen=True, eq=False)
class PiecedMask(Mask):
    """A mask of its own for each piece; beside the pieces nothing is allowed.

    Attributes:
        pieces: they do not overlap.
        name: the mask in a word or two.
    """

    pieces: tuple[Piece[Mask], ...]
    name: str

    def allowed(self, grid: Grid) -> Tensor:
        """Ask each piece that the grid touches."""
        answer = torch.zeros(_shape(grid), dtype=torch.bool, device=grid.query.device)
        for part in _parts(self.pieces, grid):
            answer[part.place] = part.rule.allowed(part.grid) & part.inside
        return answer

    def bias(self, grid: Grid) -> Tensor | None:
        """Ask each piece that the grid touches."""
        return _added(_parts(self.pieces, grid), lambda rule, part: rule.bias(part), grid) if self.adds else None

    def bounds(self, blocks: Blocks) -> Bounds:
        """Ask each piece, if they are few and lie below one another."""
        if len(self.pieces) > _FEW or any(piece.items != (0, blocks.sizes.batch) for piece in self.pieces):
            return Bounds.unknown()
        some, everything = torch.tensor(False, device="cpu"), torch.tensor(True, device="cpu")
        for piece in self.pieces:
            own = _own(blocks, piece)
            inner, touched = piece.rule.bounds(own), own.query_stop > own.query_start
            within = own.key_stop - own.key_start == blocks.key_stop - blocks.key_start
            some = some | (inner.some & touched & (own.key_stop > own.key_start))
            everything = everything & ((inner.all & within) | ~touched)
        return Bounds(some, everything)

    @property
    def adds(self) -> bool:
        """Whether any piece adds."""
        return any(piece.rule.adds for piece in self.pieces)

    @property
    def made_for(self) -> tuple[int, int]:
        """All items, and the heads that any piece tells apart."""
        return max(p.items[1] for p in self.pieces), max(p.rule.made_for[1] for p in self.pieces)

    @property
    def kind(self) -> str:
        """The name."""
        return self.name


@dataclass(frozen=True, eq=False)
class PiecedBias(Bias):
    """A bias of its own for each piece."""

    pieces: tuple[Piece[Bias], ...]

    def on(self, grid: Grid) -> Tensor:
        """Ask each piece that the grid touches."""
        return _added(_parts(self.pieces, grid), lambda rule, part: rule.on(part), grid)

    @property
    def kind(self) -> str:
        """The name of the first one."""
        return self.pieces[0].rule.kind


@dataclass(frozen=True, eq=False)
class PiecedModifier(Modifier):
    """A modifier of its own for each piece."""

    pieces: tuple[Piece[Modifier], ...]

    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Ask each piece that the grid touches."""
        changed = S.clone()
        for part in _parts(self.pieces, grid):
            changed[part.place] = part.rule.apply(S[part.place], part.grid)
        return changed

    @property
    def kind(self) -> str:
        """The name of the first one."""
        return self.pieces[0].rule.kind


@dataclass(frozen=True, eq=False)
class _Part(Generic[R]):
    """What a grid and a piece have in common: the rule, the grid in the piece's own numbers, and the place.

    Where keys are no plain range all of them are asked, moved into the piece; `inside` says which belong to it.
    """

    rule: R
    grid: Grid
    place: tuple[slice | Tensor | type(Ellipsis), ...]  # type: ignore[valid-type]
    inside: Tensor


def _parts(pieces: tuple[Piece[R], ...], grid: Grid) -> Iterator[_Part[R]]:
    """Go through the pieces that a grid touches."""
    numbers, places = grid.batch.flatten(), grid.query.flatten()
    for piece in pieces:
        items, rows = _range(numbers, piece.items), _rows(grid, places, piece.queries)
        if items.start < items.stop and _count(rows):
            part = _part(piece, grid, items, rows)
            if part is not None:
                yield part


def _part(piece: Piece[R], grid: Grid, items: slice, rows: slice | Tensor) -> _Part[R] | None:
    (item, _), (query, _), (first, last) = piece.items, piece.queries, piece.keys
    batch, queries = grid.batch[items] - item, grid.query[rows] - query
    head = grid.head[items] if grid.head.ndim == grid.batch.ndim else grid.head
    if grid.slices is not None:
        columns = _overlap(grid.slices[1], piece.keys)
        if columns.start >= columns.stop:
            return None
        start = grid.slices[0].start + rows.start - query if isinstance(rows, slice) else 0
        key = grid.slices[1].start + columns.start - first
        slices = (slice(start, start + _count(rows)), slice(key, key + columns.stop - columns.start))
        own = Grid(batch, head, queries, grid.key[columns] - first, piece.sizes, slices)
        return _Part(piece.rule, own, (items, ..., rows, columns), grid.key.new_ones((), dtype=torch.bool))
    if first == last:
        return None
    keys = grid.key if grid.key.ndim < 2 else grid.key[rows]
    own = Grid(batch, head, queries, keys.clamp(first, last - 1) - first, piece.sizes)
    return _Part(piece.rule, own, (items, ..., rows, slice(None)), (keys >= first) & (keys < last))


def _added(parts: Iterator[_Part[R]], ask: Callable[[R, Grid], Tensor | None], grid: Grid) -> Tensor:
    """Return numbers to add, each piece's at its place, 0 elsewhere."""
    answer: Tensor | None = None
    for part in parts:
        bias = ask(part.rule, part.grid)
        if bias is not None:
            if answer is None:
                answer = torch.zeros(_shape(grid), dtype=bias.dtype, device=grid.query.device)
            answer[part.place] = bias
    return torch.zeros((), device=grid.query.device) if answer is None else answer


def _shape(grid: Grid) -> tuple[int, ...]:
    return broadcast_shapes(*(index.shape for index in grid.indices))


def _rows(grid: Grid, places: Tensor, wanted: Range) -> slice | Tensor:
    """Return where in a grid the queries of a range stand."""
    if grid.slices is not None:
        return _overlap(grid.slices[0], wanted)
    return ((places >= wanted[0]) & (places < wanted[1])).nonzero().flatten()


def _range(numbers: Tensor, wanted: Range) -> slice:
    """Return where in rising numbers those of a range stand."""
    start, stop = torch.searchsorted(numbers, torch.tensor(wanted, device=numbers.device)).tolist()
    return slice(start, stop)


def _overlap(whole: slice, wanted: Range) -> slice:
    """Return what two ranges have in common, counted from the start of the first."""
    start = max(whole.start, wanted[0]) - whole.start
    return slice(start, max(start, min(whole.stop, wanted[1]) - whole.start))


def _count(rows: slice | Tensor) -> int:
    return int(rows.stop - rows.start) if isinstance(rows, slice) else len(rows)


def _own(blocks: Blocks, piece: Piece[R]) -> Blocks:
    """Return blocks of the whole as a piece's own; those beside it are empty."""
    (a, b), (c, d) = piece.queries, piece.keys
    return Blocks(
        blocks.query_start.clamp(a, b) - a,
        blocks.query_stop.clamp(a, b) - a,
        blocks.key_start.clamp(c, d) - c,
        blocks.key_stop.clamp(c, d) - c,
        piece.sizes,
    )
