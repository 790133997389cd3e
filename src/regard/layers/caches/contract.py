"""What a cache is: it takes in keys and values of new positions, and hands out those that may be read."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from regard.errors import CacheError


@dataclass(frozen=True, eq=False)
class Kept:
    """Keys and values that queries may read.

    Attributes:
        key: (B, G, Nk, D).
        value: (B, G, Nk, Dv).
        places: (Nk,), at which position of the sequence each key stands. None: 0 to Nk - 1.
    """

    key: Tensor
    value: Tensor
    places: Tensor | None = None


class Cache(Protocol):
    """What one attention call keeps of the positions before."""

    @property
    def length(self) -> int:
        """How many positions of the sequence came so far, kept or not."""

    @property
    def kept(self) -> Kept | None:
        """What is kept now; None before the first position."""

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Take in the next positions.

        Args:
            key: (B, G, N, D).
            value: (B, G, N, Dv).

        Returns:
            What the queries of these positions may read: what was kept, and these.

        Raises:
            CacheError: they do not fit what is kept, or there is no room for them.
        """

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was; items may be left out or repeated, as beams are."""

    def crop(self, length: int) -> None:
        """Forget all positions from this one on.

        Raises:
            CacheError: it is not from 0 to `length`, or what was before is no longer known.
        """


class Caches(list[Cache]):
    """The caches of a model, one for each of its attention calls, in the order of the calls."""

    @property
    def length(self) -> int:
        """How many positions came so far."""
        return max((cache.length for cache in self), default=0)

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was, everywhere."""
        for cache in self:
            cache.reorder(items)

    def crop(self, length: int) -> None:
        """Forget all positions from this one on, everywhere."""
        for cache in self:
            cache.crop(length)


def check_fits(kept: Kept | None, key: Tensor, value: Tensor) -> None:
    """Raise CacheError where new keys and values differ from those kept in more than their number."""
    if kept is None:
        return
    for name, new, old in (("keys", key, kept.key), ("values", value, kept.value)):
        if _but_positions(new) != _but_positions(old):
            raise CacheError(
                f"expected {name} as those kept, {tuple(old.shape)} in {old.dtype} on {old.device} but for their"
                f" number; got {tuple(new.shape)} in {new.dtype} on {new.device}. Take a new cache for a new batch"
            )


def check_crop(length: int, most: int) -> None:
    """Raise CacheError where a length is not from 0 to what there is."""
    if not 0 <= length <= most:
        raise CacheError(f"crop: expected a length from 0 to {most}; got {length}")


def _but_positions(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape[:2], tensor.shape[3:], tensor.dtype, tensor.device


def chosen(tensors: Iterable[Tensor], items: Tensor) -> list[Tensor]:
    """Return the chosen batch items of each tensor."""
    return [tensor.index_select(0, items.to(tensor.device)) for tensor in tensors]
