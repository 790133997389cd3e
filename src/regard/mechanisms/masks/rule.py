"""The mask: one pointwise rule who may see whom, from which every other form is derived, and the ways to combine.

A mask answers three questions: `allowed(grid)`, the rule itself on any grid of positions; `bias(grid)`, what is
added to the scores there, if anything; `bounds(blocks)`, what is left of rectangles of positions, told without
looking at each position where the rule knows its own structure. Masks combine with `&` (both), `|` (either) and
`~` (not).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, Union

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.shapes import Sizes

if TYPE_CHECKING:
    from regard.mechanisms.masks.drawing import Drawing

Align = Literal["first", "last"]
MaskLike = Union["Mask", Tensor, Callable[..., Tensor]]


class Tile(IntEnum):
    """What a mask leaves of a rectangle of (query, key) positions."""

    EMPTY = 0
    PARTIAL = 1
    FULL = 2


@dataclass(frozen=True, eq=False)
class Bounds:
    """What a mask can say of blocks; both broadcast to (B, H, rows, columns).

    Attributes:
        some: False where surely nothing is left of a block.
        all: True where surely the whole block is left.
    """

    some: Tensor
    all: Tensor

    @classmethod
    def unknown(cls) -> "Bounds":
        """Say nothing."""
        return cls(torch.tensor(True, device="cpu"), torch.tensor(False, device="cpu"))


class Mask(ABC):
    """A rule (batch, head, query, key) -> may attend; combine rules with `&`, `|` and `~`."""

    @abstractmethod
    def allowed(self, grid: Grid) -> Tensor:
        """Return booleans that broadcast to the grid: True where the query may attend to the key."""

    def bias(self, grid: Grid) -> Tensor | None:
        """Return what is added to the scaled scores on the grid, or None for nothing."""
        return None

    def bounds(self, blocks: Blocks) -> Bounds:
        """Say what is left of blocks; saying nothing is always right, the rest lets them be skipped."""
        return Bounds.unknown()

    @property
    def exact(self) -> bool:
        """Whether `bounds` leaves no doubt: a block of which some but not all is left is partial indeed."""
        return False

    def check(self, sizes: Sizes) -> None:  # noqa: B027  # most masks fit every call
        """Raise MaskError where this mask does not fit a call of these sizes."""

    @property
    def adds(self) -> bool:
        """Whether the mask adds numbers to scores (a float tensor), beside allowing and forbidding."""
        return False

    @property
    def made_for(self) -> tuple[int, int]:
        """How many batch items and heads the mask tells apart."""
        return 1, 1

    @property
    @abstractmethod
    def kind(self) -> str:
        """The mask in a word or two, for people."""

    def dense(
        self,
        sizes: Sizes | int,
        keys: int | None = None,
        *,
        batch: int = 1,
        heads: int = 1,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Return the rule as booleans (1 or B, 1 or H, Nq, Nk).

        Args:
            sizes: how many queries, or the sizes of a call.
            keys: how many keys. Default: as many as queries.
            batch: how many batch items.
            heads: how many heads.
            device: where the result lies.
        """
        sizes = Sizes.of(sizes, keys, batch, heads)
        self.check(sizes)
        allowed = self.allowed(Grid.whole(sizes, torch.device(device)))
        allowed = allowed.reshape((1,) * (4 - allowed.ndim) + tuple(allowed.shape))
        return allowed.expand(*allowed.shape[:2], sizes.queries, sizes.keys)

    def tiles(
        self, sizes: Sizes | int, keys: int | None = None, *, size: int = 128, batch: int = 1, heads: int = 1
    ) -> Tensor:
        """Return what is left of each tile: 0 nothing, 1 a part, 2 all; (1 or B, 1 or H, rows, columns), exact.

        Args:
            sizes: how many queries, or the sizes of a call.
            keys: how many keys. Default: as many as queries.
            size: how many queries and keys a tile spans.
            batch: how many batch items.
            heads: how many heads.
        """
        from regard.mechanisms.masks.tiles import classify

        sizes = Sizes.of(sizes, keys, batch, heads)
        self.check(sizes)
        if size < 1:
            raise MaskError(f"tiles: expected tiles of at least 1 position; got {size}")
        return classify(self, Blocks.of(sizes, size, size))

    def count(self, sizes: Sizes | int, keys: int | None = None, *, batch: int = 1, heads: int = 1) -> int:
        """Return how many (batch, head, query, key) may attend; arguments as for `dense`."""
        from regard.mechanisms.masks.tiles import count

        sizes = Sizes.of(sizes, keys, batch, heads)
        self.check(sizes)
        return count(self, sizes)

    def draw(
        self, queries: Sizes | int = 32, keys: int | None = None, *, batch: int = 0, head: int = 0, cells: int = 64
    ) -> "Drawing":
        """Return a drawing: prints in the terminal, and `.save("mask.png")` writes a picture.

        Args:
            queries: how many queries, or the sizes of a call.
            keys: how many keys. Default: as many as queries.
            batch: which batch item.
            head: which head.
            cells: the drawing has at most this many rows and columns.
        """
        from regard.mechanisms.masks.drawing import Drawing

        if not isinstance(queries, Sizes) and min(batch, head) < 0:
            raise MaskError(f"draw: expected a batch item and a head from 0; got {batch} and {head}")
        items, heads = self.made_for
        sizes = Sizes.of(queries, keys, max(batch + 1, items), max(head + 1, heads))
        return Drawing.of(self, sizes, batch, head, cells)

    def meet(self, other: "Mask") -> "Mask | None":
        """Return what this mask and another both allow as one simpler mask, or None where none is known."""
        return None

    def __and__(self, other: MaskLike) -> "Mask":
        right = _as_mask(other)
        for simpler in (self.meet(right), right.meet(self)):
            if simpler is not None:
                return simpler
        return Both(self, right)

    def __or__(self, other: MaskLike) -> "Mask":
        return Either(self, _as_mask(other))

    def __rand__(self, other: MaskLike) -> "Mask":
        return _as_mask(other) & self

    def __ror__(self, other: MaskLike) -> "Mask":
        return _as_mask(other) | self

    def __invert__(self) -> "Mask":
        return Not(self)

    def __bool__(self) -> bool:
        raise MaskError("a mask is neither true nor false; combine masks with &, | and ~ instead of and, or, not")

    def __str__(self) -> str:
        return self.kind


def _as_mask(mask: MaskLike) -> Mask:
    # The forms that a mask may be given in are masks themselves, and so stand above this file.
    from regard.mechanisms.masks.convert import as_mask

    return as_mask(mask)


@dataclass(frozen=True)
class Full(Mask):
    """Every query may attend to every key."""

    def allowed(self, grid: Grid) -> Tensor:
        """Return True, once for the whole grid."""
        return torch.ones((), dtype=torch.bool, device=grid.query.device)

    def bounds(self, blocks: Blocks) -> Bounds:
        """Say that every block is full."""
        return Bounds(*torch.ones(2, dtype=torch.bool, device="cpu"))

    @property
    def exact(self) -> bool:
        """Yes."""
        return True

    def meet(self, other: Mask) -> Mask:
        """Return the other mask."""
        return other

    @property
    def kind(self) -> str:
        """The word."""
        return "full"


@dataclass(frozen=True, eq=False)
class Both(Mask):
    """What both masks allow; what they add is added together."""

    left: Mask
    right: Mask

    def allowed(self, grid: Grid) -> Tensor:
        """Ask both."""
        return self.left.allowed(grid) & self.right.allowed(grid)

    def bias(self, grid: Grid) -> Tensor | None:
        """Add what the two add."""
        left, right = self.left.bias(grid), self.right.bias(grid)
        if left is None or right is None:
            return right if left is None else left
        return sum_of_added(left, right)

    def bounds(self, blocks: Blocks) -> Bounds:
        """Ask both; full where both are full."""
        left, right = self.left.bounds(blocks), self.right.bounds(blocks)
        return Bounds(left.some & right.some, left.all & right.all)

    def check(self, sizes: Sizes) -> None:
        """Check both."""
        self.left.check(sizes)
        self.right.check(sizes)

    @property
    def made_for(self) -> tuple[int, int]:
        """What the one or the other tells apart."""
        return _most(self.left, self.right)

    @property
    def adds(self) -> bool:
        """Whether either adds."""
        return self.left.adds or self.right.adds

    @property
    def kind(self) -> str:
        """Both names."""
        return f"{self.left.kind} & {self.right.kind}"


@dataclass(frozen=True, eq=False)
class Either(Mask):
    """What at least one of two masks allows."""

    left: Mask
    right: Mask

    def __post_init__(self) -> None:
        _refuse_numbers("|", self.left, self.right)

    def allowed(self, grid: Grid) -> Tensor:
        """Ask both."""
        return self.left.allowed(grid) | self.right.allowed(grid)

    def bounds(self, blocks: Blocks) -> Bounds:
        """Ask both; empty where both are empty."""
        left, right = self.left.bounds(blocks), self.right.bounds(blocks)
        return Bounds(left.some | right.some, left.all | right.all)

    def check(self, sizes: Sizes) -> None:
        """Check both."""
        self.left.check(sizes)
        self.right.check(sizes)

    @property
    def made_for(self) -> tuple[int, int]:
        """What the one or the other tells apart."""
        return _most(self.left, self.right)

    @property
    def kind(self) -> str:
        """Both names."""
        return f"({self.left.kind} | {self.right.kind})"


@dataclass(frozen=True, eq=False)
class Not(Mask):
    """What a mask forbids."""

    inner: Mask

    def __post_init__(self) -> None:
        _refuse_numbers("~", self.inner)

    def allowed(self, grid: Grid) -> Tensor:
        """Turn the answer round."""
        return ~self.inner.allowed(grid)

    def bounds(self, blocks: Blocks) -> Bounds:
        """Turn the answers round: empty and full change places."""
        inner = self.inner.bounds(blocks)
        return Bounds(~inner.all, ~inner.some)

    @property
    def exact(self) -> bool:
        """As the mask inside is."""
        return self.inner.exact

    def check(self, sizes: Sizes) -> None:
        """Check the mask inside."""
        self.inner.check(sizes)

    @property
    def made_for(self) -> tuple[int, int]:
        """What the mask inside tells apart."""
        return self.inner.made_for

    @property
    def kind(self) -> str:
        """The name, negated."""
        return f"~({self.inner.kind})"


def _most(left: Mask, right: Mask) -> tuple[int, int]:
    (items, heads), (other_items, other_heads) = left.made_for, right.made_for
    return max(items, other_items), max(heads, other_heads)


def sum_of_added(left: Tensor, right: Tensor) -> Tensor:
    """Return the sum of two added masks, in which only what one of them forbids is -inf."""
    total = left + right
    limits = torch.finfo(total.dtype)
    forbidden = (left == -torch.inf) | (right == -torch.inf)
    return total.clamp(limits.min, limits.max).masked_fill(forbidden, -torch.inf)


def _refuse_numbers(sign: str, *masks: Mask) -> None:
    if any(mask.adds for mask in masks):
        raise MaskError(
            f"a float mask cannot take part in `{sign}`: what it adds would have no meaning there."
            " Combine it with `&`, or use booleans (tensor != -inf)"
        )
