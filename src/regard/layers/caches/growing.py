"""A cache that keeps everything, and takes more memory as it needs it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.layers.caches.contract import Kept, check_crop, check_fits

# For how many more positions there is room, and no more, where items have changed places, as beams do at each step.
SPARE = 8


@dataclass(eq=False)
class _Room:
    """Memory for keys and values, and the view of its beginning that was handed out last, by whichever copy."""

    memory: Kept
    handed: Kept

    def fits(self, kept: Kept, stop: int) -> bool:
        """Whether so many positions can be written after what is kept, and nothing that was handed out is there."""
        writable = torch.is_inference_mode_enabled() or not self.memory.key.is_inference()
        return self.handed is kept and stop <= self.memory.key.shape[2] and writable

    def chosen(self, items: Tensor) -> "_Room":
        """Return some batch items, in this order, with room for a few positions more."""
        stop = self.handed.key.shape[2]
        if stop < self.memory.key.shape[2] <= stop + SPARE:  # in one piece it is copied far sooner than in parts
            memory = self.memory.chosen(items)
            return _Room(memory, memory.first(stop))
        key, value = (
            t.new_empty((len(items), t.shape[1], stop + SPARE, t.shape[3]))
            for t in (self.memory.key, self.memory.value)
        )
        memory = Kept(key, value)
        handed = memory.first(stop)
        for new, old in ((handed.key, self.handed.key), (handed.value, self.handed.value)):
            torch.index_select(old, 0, items.to(old.device), out=new)
        return _Room(memory, handed)


class GrowingCache:
    """Keeps all keys and values, and hands out what is never written into again.

    Where gradients are enabled, they flow through what it keeps, and each step copies everything. Where they are
    not, as in generation, there is room for more positions, which is doubled when they have filled it.
    """

    turns_late = False

    def __init__(self) -> None:
        self.kept: Kept | None = None
        self._room: _Room | None = None

    @property
    def length(self) -> int:
        """How many positions came so far."""
        return 0 if self.kept is None else self.kept.key.shape[2]

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Take in the next positions, and return all; see `Cache.extend`."""
        check_fits(self.kept, key, value)
        kept, new = self.kept, Kept(key, value)
        if kept is None:
            self.kept = new
        elif torch.is_grad_enabled() or torch.compiler.is_compiling():
            self.kept = Kept(torch.cat([kept.key, key], 2), torch.cat([kept.value, value], 2))
        else:
            self.kept = self._written(kept, new)
        return self.kept

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was."""
        if self.kept is None:
            return
        if self._room is None or self._room.handed is not self.kept or torch.is_grad_enabled():
            self.kept = self.kept.chosen(items)
        else:
            self._room = self._room.chosen(items)
            self.kept = self._room.handed

    def crop(self, length: int) -> None:
        """Forget all positions from this one on."""
        check_crop(length, self.length)
        if self.kept is not None:
            self.kept = self.kept.first(length)

    def _written(self, kept: Kept, new: Kept) -> Kept:
        """Write new positions after those that are kept, and return all."""
        start = kept.key.shape[2]
        stop = start + new.key.shape[2]
        room = self._room
        if room is None or not room.fits(kept, stop):
            room = _Room(_roomy(kept, stop), kept)
        room.memory.key[:, :, start:stop] = new.key
        room.memory.value[:, :, start:stop] = new.value
        room.handed = room.memory.first(stop)
        self._room = room
        return room.handed


def _roomy(kept: Kept, stop: int) -> Kept:
    """Return memory for twice so many positions, and in it what is kept."""
    key, value = (t.new_empty((*t.shape[:2], 2 * stop, t.shape[3])) for t in (kept.key, kept.value))
    memory = Kept(key, value)
    memory.key[:, :, : kept.key.shape[2]] = kept.key
    memory.value[:, :, : kept.value.shape[2]] = kept.value
    return memory
