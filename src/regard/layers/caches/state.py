"""Caches of linear attention: a state of fixed size, however many positions it has seen."""

from torch import Tensor

from regard.errors import CacheError
from regard.layers.caches.contract import Kept, check_crop


class StateCache:
    """Keeps the state that linear attention left, and how many positions wrote into it."""

    kept: Kept | None = None
    turns_late = False

    def __init__(self) -> None:
        self.length = 0
        self.state: Tensor | None = None

    def write(self, state: Tensor | None, positions: int) -> None:
        """Take the place of the state before, after so many more positions."""
        self.state, self.length = state, self.length + positions

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Refuse: a state keeps no keys.

        Raises:
            CacheError: always.
        """
        raise CacheError("expected a cache of keys and values; got a StateCache, which serves linear attention")

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was."""
        if self.state is not None:
            self.state = self.state.index_select(0, items.to(self.state.device))

    def crop(self, length: int) -> None:
        """Forget everything, or nothing: positions cannot be taken out of a state.

        Raises:
            CacheError: a length between.
        """
        check_crop(length, self.length)
        if 0 < length < self.length:
            raise CacheError(f"crop: expected 0 or {self.length}, as a state forgets all or nothing; got {length}")
        if length == 0:
            self.state, self.length = None, 0


class SourceStateCache(StateCache):
    """Keeps the state that a source left; targets come and go without it."""

    of_source = True

    def write(self, state: Tensor | None, positions: int) -> None:
        """Keep the state of a source."""
        self.state = state

    def crop(self, length: int) -> None:
        """Do nothing: positions of the target are none of the source."""
