"""Masks by distance: causal, window, dilated. They ask how far a key stands from its query."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Align, Bounds, Mask
from regard.shapes import Sizes


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

    def allowed(self, grid: Grid) -> Tensor:
        """Compare each key's place with its query's."""
        place = grid.query + offset(self.align, grid.sizes)
        inside = [] if self.ahead is None else [grid.key <= place + self.ahead]
        inside += [] if self.back is None else [grid.key >= place - self.back]
        return inside[0] & inside[1] if len(inside) == 2 else inside[0]

    def bounds(self, blocks: Blocks) -> Bounds:
        """Compare the smallest and the largest gap in each block with the band."""
        least, most = _gaps(blocks, self.align)
        some, everything = torch.ones_like(least, dtype=torch.bool), torch.ones_like(least, dtype=torch.bool)
        if self.ahead is not None:
            some, everything = some & (least <= self.ahead), everything & (most <= self.ahead)
        if self.back is not None:
            some, everything = some & (most >= -self.back), everything & (least >= -self.back)
        return Bounds(some, everything)

    @property
    def exact(self) -> bool:
        """Yes: every gap between the smallest and the largest occurs."""
        return True

    def meet(self, other: Mask) -> Mask | None:
        """Return the narrower band of two that are aligned alike."""
        if isinstance(other, Band) and other.align == self.align:
            return Band(_least(self.back, other.back), _least(self.ahead, other.ahead), self.align)
        return None

    @property
    def kind(self) -> str:
        """The usual name of the band."""
        end = "" if self.align == "first" else ", last aligned"
        if self.back is None and self.ahead == 0:
            return f"causal{end}"
        return f"window({self.back}, {self.ahead}{end})"


@dataclass(frozen=True)
class Every(Mask):
    """A query may attend to every `stride`-th key, counted from its own position in both directions."""

    stride: int
    align: Align = "first"

    def allowed(self, grid: Grid) -> Tensor:
        """Compare what the two places leave when divided by the stride."""
        place = grid.query + offset(self.align, grid.sizes)
        return grid.key % self.stride == place % self.stride

    def bounds(self, blocks: Blocks) -> Bounds:
        """Look for a multiple of the stride among the gaps of each block."""
        least, most = _gaps(blocks, self.align)
        some = most - most % self.stride >= least
        return Bounds(some, (least == most) & some if self.stride > 1 else torch.ones_like(some))

    @property
    def exact(self) -> bool:
        """Yes."""
        return True

    @property
    def kind(self) -> str:
        """The words."""
        return f"every {self.stride}"


def causal(*, align: Align = "first") -> Mask:
    """A query may attend to its own position and earlier ones.

    Args:
        align: with different numbers of queries and keys, "first" puts query 0 at key 0, as torch does; "last"
            puts the last query at the last key, as a cache of past keys needs.
    """
    return Band(None, 0, aligned(align))


def window(back: int, ahead: int | None = None, *, align: Align = "first") -> Mask:
    """A query may attend to near positions only.

    Args:
        back: how many positions before its own; `causal() & window(255)` sees 256 keys.
        ahead: how many positions after its own. Default: as many as back.
        align: as in `causal`.

    Raises:
        MaskError: a negative distance.

    Source: local attention, Luong et al. 2015, section 3.2; sliding window, Beltagy et al. 2020 (Longformer).
    """
    ahead = back if ahead is None else ahead
    if any(not isinstance(each, int) or isinstance(each, bool) or each < 0 for each in (back, ahead)):
        raise MaskError(f"window: expected whole distances of at least 0; got back={back}, ahead={ahead}")
    return Band(back, ahead, aligned(align))


def dilated(back: int, ahead: int | None = None, *, dilation: int, align: Align = "first") -> Mask:
    """A query may attend to every `dilation`-th of so many positions around it.

    Args:
        back: how many keys before its own; the farthest stands back * dilation positions away.
        ahead: how many keys after its own. Default: as many as back.
        dilation: the step from key to key, at least 1.
        align: as in `causal`.

    Raises:
        MaskError: a negative distance, or a step below 1.

    Source: Beltagy et al. 2020, "Longformer", section 3.1.
    """
    step = positive("dilated", "dilation", dilation)
    near = window(back, ahead, align=align)
    if step == 1 or not isinstance(near, Band) or near.back is None or near.ahead is None:
        return near
    return Band(near.back * step, near.ahead * step, near.align) & Every(step, near.align)


def positive(mask: str, name: str, number: int) -> int:
    """Return a whole number of at least 1.

    Raises:
        MaskError: it is not one.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise MaskError(f"{mask}: expected {name} as a whole number of at least 1; got {number!r}")
    return number


def as_tensor(mask: str, numbers: Any) -> Tensor:
    """Return numbers as a tensor.

    Raises:
        MaskError: they are none.
    """
    if isinstance(numbers, Tensor):
        return numbers
    try:
        return torch.as_tensor(numbers, device="cpu").clone()  # arrays may be written into later
    except (TypeError, ValueError, RuntimeError) as wrong:
        raise MaskError(f"{mask}: expected whole numbers; got {numbers!r}") from wrong


def aligned(align: Align) -> Align:
    """Return an alignment.

    Raises:
        MaskError: it is neither "first" nor "last".
    """
    if align not in ("first", "last"):
        raise MaskError(f'align: expected "first" or "last"; got {align!r}')
    return align


def offset(align: Align, sizes: Sizes) -> int:
    """Return at which key the first query stands."""
    return sizes.keys - sizes.queries if align == "last" else 0


def _gaps(blocks: Blocks, align: Align) -> tuple[Tensor, Tensor]:
    """Return the smallest and the largest key place minus query place in each block."""
    first = offset(align, blocks.sizes)
    least = blocks.key_start - (blocks.query_stop - 1 + first)
    return least, (blocks.key_stop - 1) - (blocks.query_start + first)


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
