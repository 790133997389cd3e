"""A cache that keeps everything, in new tensors at each step."""

import torch
from torch import Tensor

from regard.layers.caches.contract import Kept, check_crop, check_fits


class GrowingCache:
    """Keeps all keys and values; each step puts old and new ones together in a new tensor.

    Gradients flow through what it keeps. Each step copies everything; `PreallocatedCache` does not.
    """

    turns_late = False

    def __init__(self) -> None:
        self.kept: Kept | None = None

    @property
    def length(self) -> int:
        """How many positions came so far."""
        return 0 if self.kept is None else self.kept.key.shape[2]

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Take in the next positions, and return all; see `Cache.extend`."""
        check_fits(self.kept, key, value)
        if self.kept is not None:
            key, value = torch.cat([self.kept.key, key], 2), torch.cat([self.kept.value, value], 2)
        self.kept = Kept(key, value)
        return self.kept

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was."""
        if self.kept is not None:
            self.kept = self.kept.chosen(items)

    def crop(self, length: int) -> None:
        """Forget all positions from this one on."""
        check_crop(length, self.length)
        if self.kept is not None:
            self.kept = self.kept.first(length)
