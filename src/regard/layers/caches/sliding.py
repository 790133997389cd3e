"""A cache of fixed size for text without end: the first positions and the last ones."""

import torch
from torch import Tensor

from regard.errors import CacheError
from regard.layers.caches.contract import Kept, Seats, check_crop, check_fits
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.lengths import Padding
from regard.mechanisms.masks.rule import Mask


class SlidingCache:
    """Keeps the first positions, on which models rest weight that no key deserves, and a window of the last ones.

    A query sees the sinks and the last `window` positions, its own included. Rotary positions and those of a
    `position_bias` count within the cache, as if nothing had been between sinks and window, so they never exceed
    its size; positions handed to the layer are not asked. What a query sees, and how far it seems, does not depend
    on whether positions come one by one or many at a time. The sinks are the first positions of the batch: what
    pads an item on the left takes the place of its sinks.

    Args:
        window: how many of the last positions, at least 1.
        sinks: how many of the first ones, 0 for none.

    Raises:
        CacheError: other numbers.

    Source: Xiao et al. 2024, "Efficient Streaming Language Models with Attention Sinks", section 3.2.
    """

    turns_late = True

    def __init__(self, window: int, sinks: int = 4) -> None:
        if window < 1 or sinks < 0:
            raise CacheError(
                f"SlidingCache: expected a window of at least 1 and sinks of at least 0; got {window} and {sinks}"
            )
        self.window, self.sinks = window, sinks
        self.length = 0
        self.kept: Kept | None = None

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Take in the next positions, and return all that one of them sees; see `Cache.extend`."""
        check_fits(self.kept, key, value)
        new = key.shape[2]
        if self.kept is not None:
            key, value = torch.cat([self.kept.key, key], 2), torch.cat([self.kept.value, value], 2)
        self.length += new
        self.kept = Kept(self._lasting(key), self._lasting(value))
        seats = Seats(self.sinks, self.sinks + self.window - 1)
        return Kept(key, value, self._places(key), self._mask(new), seats)

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was."""
        if self.kept is not None:
            self.kept = self.kept.chosen(items)

    def crop(self, length: int) -> None:
        """Forget all positions from this one on.

        Raises:
            CacheError: a shorter text would still see what has left the window.
        """
        check_crop(length, self.length)
        if self.kept is None or length == self.length:
            return
        if length and self.kept.key.shape[2] < self.length:
            raise CacheError(
                f"crop: expected {self.length} or 0, as positions have left the window; got {length}."
                " Take another kind of cache where positions are taken back"
            )
        self.kept = self.kept.first(length) if length else None
        self.length = length

    def _lasting(self, tensor: Tensor) -> Tensor:
        """Return what the next position will see: the sinks, and a window less the place of its own."""
        if self.length < self.sinks + self.window:
            return tensor
        return torch.cat([tensor[:, :, : self.sinks], tensor[:, :, tensor.shape[2] - self.window + 1 :]], 2)

    def _places(self, key: Tensor) -> Tensor | None:
        """Return the places of the keys of a call: those of the sinks, and the last ones."""
        count = key.shape[2]
        if count == self.length:
            return None
        first = torch.arange(self.sinks, device=key.device)
        return torch.cat([first, torch.arange(self.length - count + self.sinks, self.length, device=key.device)])

    def _mask(self, new: int) -> Mask | None:
        """Return which keys each of the new queries sees, where that is not all of them."""
        if new == 1 or self.length <= self.sinks + self.window:
            return None
        near = Band(self.window - 1, None, "first")
        return near | Padding(torch.tensor(self.sinks, device="cpu"), "sinks") if self.sinks else near
