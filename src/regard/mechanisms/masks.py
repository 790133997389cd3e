"""Masks: who may see whom, each one pointwise rule from which every other form is derived.

A mask answers three questions: `allowed(grid)`, the rule itself on any grid of positions; `bias(grid)`, what is
added to the scores there, if anything; `tile(region)`, whether a rectangle of positions is empty, full or
partial, told without looking at each position where the rule knows its own structure. Masks combine with
`&` (both), `|` (either) and `~` (not).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Grid, Region
from regard.shapes import Sizes

Align = Literal["first", "last"]


class Tile(Enum):
    """What a mask leaves of a rectangle of (query, key) positions."""

    EMPTY = "empty"
    PARTIAL = "partial"
    FULL = "full"


class Mask(ABC):
    """A rule (batch, head, query, key) -> may attend; combine rules with `&`, `|` and `~`."""

    @abstractmethod
    def allowed(self, grid: Grid) -> Tensor:
        """Return booleans that broadcast to the grid: True where the query may attend to the key."""

    def bias(self, grid: Grid) -> Tensor | None:
        """Return what is added to the scaled scores on the grid, or None for nothing."""
        return None

    def tile(self, region: Region) -> Tile:
        """Say what is left of a region; PARTIAL is always a right answer, the others let it be skipped."""
        return Tile.PARTIAL

    def check(self, sizes: Sizes) -> None:  # noqa: B027  # most masks fit every call
        """Raise MaskError where this mask does not fit a call of these sizes."""

    def copied(self, copy: Callable[[Tensor], Tensor]) -> "Mask":
        """Return the mask with each tensor that it holds copied, lest writing into that change the mask."""
        return self

    @property
    def adds(self) -> bool:
        """Whether the mask adds numbers to scores (a float tensor), beside allowing and forbidding."""
        return False

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is asked of something that the mask adds."""
        return False

    @property
    @abstractmethod
    def kind(self) -> str:
        """The mask in a word or two, for people."""

    def dense(self, sizes: Sizes, device: torch.device | str = "cpu") -> Tensor:
        """Return the rule as booleans (1 or B, 1 or H, Nq, Nk)."""
        allowed = self.allowed(Grid.whole(sizes, torch.device(device)))
        allowed = allowed.reshape((1,) * (4 - allowed.ndim) + tuple(allowed.shape))
        return allowed.expand(*allowed.shape[:2], sizes.queries, sizes.keys)

    def __and__(self, other: "Mask | Tensor") -> "Mask":
        right = as_mask(other)
        if isinstance(self, Full):
            return right
        return self if isinstance(right, Full) else Both(self, right)

    def __or__(self, other: "Mask | Tensor") -> "Mask":
        return Either(self, as_mask(other))

    def __rand__(self, other: Tensor) -> "Mask":
        return as_mask(other) & self

    def __ror__(self, other: Tensor) -> "Mask":
        return as_mask(other) | self

    def __invert__(self) -> "Mask":
        return Not(self)

    def __bool__(self) -> bool:
        raise MaskError("a mask is neither true nor false; combine masks with &, | and ~ instead of and, or, not")

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True)
class Full(Mask):
    """Every query may attend to every key."""

    def allowed(self, grid: Grid) -> Tensor:
        """Return True, once for the whole grid."""
        return torch.ones((), dtype=torch.bool, device=grid.query.device)

    def tile(self, region: Region) -> Tile:
        """Say that every region is full."""
        return Tile.FULL

    @property
    def kind(self) -> str:
        """The word."""
        return "full"


@dataclass(frozen=True)
class Band(Mask):
    """A query may attend to keys from `back` positions before its own to `ahead` positions after it.

    Attributes:
        back: how many positions back, None for no limit.
        ahead: how many positions ahead, None for no limit.
        align: which positions count as the same: "first" (query i stands at key i) or "last" (the last query
            stands at the last key, as when the keys hold a cache of the past).
    """

    back: int | None
    ahead: int | None
    align: Align

    def _offset(self, sizes: Sizes) -> int:
        return sizes.keys - sizes.queries if self.align == "last" else 0

    def allowed(self, grid: Grid) -> Tensor:
        """Compare each key's place with its query's."""
        place = grid.query + self._offset(grid.sizes)
        inside = [] if self.ahead is None else [grid.key <= place + self.ahead]
        inside += [] if self.back is None else [grid.key >= place - self.back]
        return inside[0] & inside[1] if len(inside) == 2 else inside[0]

    def tile(self, region: Region) -> Tile:
        """Compare the smallest and the largest gap in the region with the band."""
        offset = self._offset(region.sizes)
        least = region.key_start - (region.query_stop - 1 + offset)
        most = (region.key_stop - 1) - (region.query_start + offset)
        low = -self.back if self.back is not None else least
        high = self.ahead if self.ahead is not None else most
        if most < low or least > high:
            return Tile.EMPTY
        return Tile.FULL if least >= low and most <= high else Tile.PARTIAL

    @property
    def kind(self) -> str:
        """The usual name of the band."""
        end = "" if self.align == "first" else ", last aligned"
        if self.back is None and self.ahead == 0:
            return f"causal{end}"
        return f"window({self.back}, {self.ahead}{end})"


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Only the first `lengths[b]` keys of batch item b may be attended to."""

    lengths: Tensor

    def check(self, sizes: Sizes) -> None:
        """Expect one length a batch item, none longer than the keys."""
        if self.lengths.shape != (sizes.batch,):
            raise MaskError(
                f"padding: expected {sizes.batch} lengths, one a batch item; got shape {tuple(self.lengths.shape)}"
            )
        if self.lengths.numel() and not 0 <= int(self.lengths.min()) <= int(self.lengths.max()) <= sizes.keys:
            raise MaskError(
                f"padding: expected lengths from 0 to {sizes.keys} (the keys); got {self.lengths.tolist()}"
            )

    def allowed(self, grid: Grid) -> Tensor:
        """Compare each key's place with its item's length."""
        return grid.key < self.lengths.to(grid.key.device)[grid.batch]

    def copied(self, copy: Callable[[Tensor], Tensor]) -> Mask:
        """Copy the lengths."""
        return Padding(copy(self.lengths))

    @property
    def kind(self) -> str:
        """The word."""
        return "padding"


@dataclass(frozen=True, eq=False)
class TensorMask(Mask):
    """A tensor that broadcasts to (B, H, Nq, Nk): booleans (True = may attend) or numbers added to the scores."""

    tensor: Tensor

    def __post_init__(self) -> None:
        kind = self.tensor.dtype
        if kind != torch.bool and not kind.is_floating_point:
            raise MaskError(
                f"mask tensor: expected booleans (True = may attend) or floats (added to scores); got {kind}."
                " For 0/1 integers use mask.bool()"
            )
        if self.tensor.ndim > 4:
            raise MaskError(f"mask tensor: expected at most 4 axes (B, H, Nq, Nk); got {self.tensor.ndim}")

    def check(self, sizes: Sizes) -> None:
        """Expect a shape that broadcasts to (B, H, Nq, Nk)."""
        wanted = (sizes.batch, sizes.heads, sizes.queries, sizes.keys)
        shape = (1,) * (4 - self.tensor.ndim) + tuple(self.tensor.shape)
        if any(have not in (1, want) for have, want in zip(shape, wanted, strict=True)):
            raise MaskError(
                f"mask tensor: expected a shape that broadcasts to (B, H, Nq, Nk) = {wanted};"
                f" got {tuple(self.tensor.shape)}"
            )

    def allowed(self, grid: Grid) -> Tensor:
        """Read the booleans off the tensor; a number forbids where it is -inf."""
        values = grid.read(self.tensor)
        return values if values.dtype == torch.bool else values != -torch.inf

    def bias(self, grid: Grid) -> Tensor | None:
        """Read the numbers off the tensor, if it holds numbers."""
        return grid.read(self.tensor) if self.adds else None

    def copied(self, copy: Callable[[Tensor], Tensor]) -> Mask:
        """Copy the tensor."""
        return TensorMask(copy(self.tensor))

    @property
    def adds(self) -> bool:
        """Whether the tensor holds numbers."""
        return self.tensor.dtype != torch.bool

    @property
    def requires_grad(self) -> bool:
        """Whether the tensor asks for a gradient."""
        return self.tensor.requires_grad

    @property
    def kind(self) -> str:
        """The data type, in a word."""
        return "added tensor" if self.adds else "boolean tensor"


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
        return _sum(left, right)

    def copied(self, copy: Callable[[Tensor], Tensor]) -> Mask:
        """Copy both."""
        return Both(self.left.copied(copy), self.right.copied(copy))

    def tile(self, region: Region) -> Tile:
        """Empty where one is empty, full where both are full."""
        tiles = {self.left.tile(region), self.right.tile(region)}
        if Tile.EMPTY in tiles:
            return Tile.EMPTY
        return Tile.FULL if tiles == {Tile.FULL} else Tile.PARTIAL

    def check(self, sizes: Sizes) -> None:
        """Check both."""
        self.left.check(sizes)
        self.right.check(sizes)

    @property
    def adds(self) -> bool:
        """Whether either adds."""
        return self.left.adds or self.right.adds

    @property
    def requires_grad(self) -> bool:
        """Whether either asks for a gradient."""
        return self.left.requires_grad or self.right.requires_grad

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

    def copied(self, copy: Callable[[Tensor], Tensor]) -> Mask:
        """Copy both."""
        return Either(self.left.copied(copy), self.right.copied(copy))

    def tile(self, region: Region) -> Tile:
        """Full where one is full, empty where both are empty."""
        tiles = {self.left.tile(region), self.right.tile(region)}
        if Tile.FULL in tiles:
            return Tile.FULL
        return Tile.EMPTY if tiles == {Tile.EMPTY} else Tile.PARTIAL

    def check(self, sizes: Sizes) -> None:
        """Check both."""
        self.left.check(sizes)
        self.right.check(sizes)

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

    def copied(self, copy: Callable[[Tensor], Tensor]) -> Mask:
        """Copy the mask inside."""
        return Not(self.inner.copied(copy))

    def tile(self, region: Region) -> Tile:
        """Empty and full change places."""
        opposite = {Tile.EMPTY: Tile.FULL, Tile.FULL: Tile.EMPTY, Tile.PARTIAL: Tile.PARTIAL}
        return opposite[self.inner.tile(region)]

    def check(self, sizes: Sizes) -> None:
        """Check the mask inside."""
        self.inner.check(sizes)

    @property
    def kind(self) -> str:
        """The name, negated."""
        return f"~({self.inner.kind})"


def _sum(left: Tensor, right: Tensor) -> Tensor:
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


def as_mask(mask: Mask | Tensor | None) -> Mask:
    """Return a mask, whatever form it was given in; None means everyone may see everyone.

    Raises:
        MaskError: the value is neither a mask nor a boolean or float tensor of at most four axes.
    """
    if mask is None:
        return Full()
    if isinstance(mask, Mask):
        return mask
    if isinstance(mask, Tensor):
        return TensorMask(mask)
    called = f". Did you mean {mask.__name__}()?" if mask in (full, causal) else ""
    raise MaskError(f"mask: expected a regard mask, a tensor or None; got {type(mask).__name__}{called}")


def full() -> Mask:
    """Every query may attend to every key."""
    return Full()


def causal(*, align: Align = "first") -> Mask:
    """A query may attend to its own position and earlier ones.

    Args:
        align: with different numbers of queries and keys, "first" puts query 0 at key 0, as torch does; "last"
            puts the last query at the last key, as a cache of past keys needs.
    """
    return Band(None, 0, _aligned(align))


def window(back: int, ahead: int | None = None, *, align: Align = "first") -> Mask:
    """A query may attend to near positions only.

    Args:
        back: how many positions before its own; `causal() & window(255)` sees 256 keys.
        ahead: how many positions after its own. Default: as many as back.
        align: as in `causal`.

    Raises:
        MaskError: a negative distance.
    """
    ahead = back if ahead is None else ahead
    if not (isinstance(back, int) and isinstance(ahead, int)) or back < 0 or ahead < 0:
        raise MaskError(f"window: expected whole distances of at least 0; got back={back}, ahead={ahead}")
    return Band(back, ahead, _aligned(align))


def padding(lengths: Tensor | list[int]) -> Mask:
    """Only the first `lengths[b]` keys of batch item b may be attended to.

    Args:
        lengths: (B,) whole numbers, 0 to Nk.

    Raises:
        MaskError: lengths that are not whole numbers, or (when called) not one a batch item.
    """
    tensor = torch.as_tensor(lengths)
    if tensor.ndim != 1 or tensor.dtype.is_floating_point or tensor.dtype == torch.bool:
        raise MaskError(
            f"padding: expected whole numbers (B,), one length a batch item;"
            f" got {tensor.dtype} of shape {tuple(tensor.shape)}"
        )
    return Padding(tensor.long())


def _aligned(align: Align) -> Align:
    if align not in ("first", "last"):
        raise MaskError(f'align: expected "first" or "last"; got {align!r}')
    return align
