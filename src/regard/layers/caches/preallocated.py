"""A cache in memory that is taken once and written in place."""

from torch import Tensor

from regard.errors import CacheError
from regard.layers.caches.contract import Kept, check_crop, check_fits, check_without_gradient


class PreallocatedCache:
    """Keeps all keys and values in tensors with room for more, into which new ones are written.

    What it hands out are views, which a later step may write into once positions were cropped.

    Args:
        room: for how many positions.
        grows: whether the room is doubled where it does not suffice; else that is an error.

    Raises:
        CacheError: room for less than one position.
    """

    turns_late = False

    def __init__(self, room: int, *, grows: bool = False) -> None:
        if room < 1:
            raise CacheError(f"PreallocatedCache: expected room for at least one position; got {room}")
        self.room, self.grows = room, grows
        self.length = 0
        self._memory: Kept | None = None

    @property
    def kept(self) -> Kept | None:
        """What is kept now."""
        return None if self._memory is None else self._memory.first(self.length)

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Write the next positions, and return all; see `Cache.extend`."""
        check_without_gradient("PreallocatedCache", key, value)
        check_fits(self.kept, key, value)
        new, length = Kept(key, value), self.length + key.shape[2]
        memory = self._with_room(length, new)
        _write(memory, self.length, new)
        self._memory, self.length = memory, length
        return memory.first(length)

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was."""
        if self.kept is None or self._memory is None:
            return
        kept = self.kept.chosen(items)
        if len(kept.key) != len(self._memory.key):
            self._memory = _empty(kept, self.room)
        _write(self._memory, 0, kept)

    def crop(self, length: int) -> None:
        """Forget all positions from this one on."""
        check_crop(length, self.length)
        self.length = length

    def _with_room(self, length: int, like: Kept) -> Kept:
        """Return memory with room for so many positions, and in it what is kept."""
        if self._memory is not None and length <= self.room:
            return self._memory
        if length > self.room and not self.grows:
            raise CacheError(
                f"expected at most {self.room} positions, for which there is room; got {length}. Make the cache"
                " with more room, or with grows=True"
            )
        while self.room < length:
            self.room *= 2
        memory = _empty(like, self.room)
        if self.kept is not None:
            _write(memory, 0, self.kept)
        return memory


def _empty(like: Kept, room: int) -> Kept:
    """Return memory for keys and values like these, at so many positions."""
    key, value = (tensor.new_zeros((*tensor.shape[:2], room, tensor.shape[3])) for tensor in (like.key, like.value))
    return Kept(key, value)


def _write(memory: Kept, start: int, new: Kept) -> None:
    """Write keys and values into memory, from a position on."""
    stop = start + new.key.shape[2]
    memory.key[:, :, start:stop] = new.key
    memory.value[:, :, start:stop] = new.value
