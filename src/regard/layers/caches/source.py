"""A cache for attention to a source, whose keys and values are computed once."""

from torch import Tensor

from regard.errors import CacheError
from regard.layers.caches.contract import Kept


class SourceCache:
    """Keeps the keys and values of a source, an encoder's output for example; targets come and go without it."""

    of_source = True
    length = 0
    turns_late = False

    def __init__(self) -> None:
        self.kept: Kept | None = None

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Take in the source, once.

        Raises:
            CacheError: a source is kept already.
        """
        if self.kept is not None:
            raise CacheError("expected one source; got a second one. Take a new cache for a new source")
        self.kept = Kept(key, value)
        return self.kept

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was."""
        if self.kept is not None:
            self.kept = self.kept.chosen(items)

    def crop(self, length: int) -> None:
        """Do nothing: positions of the target are none of the source."""
