"""What a cache is: it takes in keys and values of new positions, and hands out those that may be read."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from regard.errors import CacheError
from regard.mechanisms.masks.rule import Mask


@dataclass(frozen=True, eq=False)
class Kept:
    """Keys and values that queries may read.

    Attributes:
        key: (B, G, Nk, D).
        value: (B, G, Nk, Dv).
        places: (Nk,), at which position of the sequence each key stands. None: 0 to Nk - 1.
        mask: which of them are kept for which query, as a mask of the whole sequence. None: all for each.
        seats: where they stand within the cache; None: where they stand in the sequence.
        prefix: keys and values (1, G, N, ...) of positions before these, which all batch items have in common.
    """

    key: Tensor
    value: Tensor
    places: Tensor | None = None
    mask: Mask | None = None
    seats: "Seats | None" = None
    prefix: "Kept | None" = None

    @property
    def whole(self) -> "Kept":
        """The same with what items have in common told for each of them."""
        if self.prefix is None:
            return self
        key, value = (
            torch.cat([common.expand(len(own), -1, -1, -1), own], 2)
            for common, own in ((self.prefix.key, self.key), (self.prefix.value, self.value))
        )
        return replace(self, key=key, value=value, prefix=None)

    def chosen(self, items: Tensor) -> "Kept":
        """Return some batch items, in this order."""
        items = items.to(self.key.device)
        return replace(self, key=self.key.index_select(0, items), value=self.value.index_select(0, items))

    def first(self, count: int) -> "Kept":
        """Return the first keys and values only."""
        return replace(self, key=self.key[:, :, :count], value=self.value[:, :, :count])


@dataclass(frozen=True)
class Seats:
    """Where keys stand within a cache that keeps the first positions and the last ones, as if none were between.

    Attributes:
        sinks: how many of the first positions are kept.
        last: the seat of the newest position, once the cache is full; it sees the others before it.
    """

    sinks: int
    last: int

    def excess(self, queries: int, keys: int, device: torch.device) -> Tensor:
        """Return (Nq,), how much farther the sinks lie among the keys of a call than in the cache."""
        index = torch.arange(keys - queries, keys, device=device)
        return (index - self.last).clamp(min=0)

    def exceeded(self, keys: int) -> bool:
        """Whether for some query of a call sinks lie farther among its keys than in the cache."""
        return self.sinks > 0 and keys > self.last + 1


class Cache(Protocol):
    """What one attention call keeps of the positions before.

    Attributes:
        turns_late: whether it is given keys before `rotary` has turned them; they are turned at each call, by
            their seats.
    """

    turns_late: bool

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


def check_without_gradient(kind: str, key: Tensor, value: Tensor) -> None:
    """Raise CacheError where gradients are asked through a cache that is written in place."""
    if torch.is_grad_enabled() and (key.requires_grad or value.requires_grad):
        raise CacheError(
            f"{kind}: expected keys and values without gradient, as it is written in place. Generate within"
            " torch.no_grad(), or take a GrowingCache"
        )


def _but_positions(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape[:2], tensor.shape[3:], tensor.dtype, tensor.device
