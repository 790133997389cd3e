"""A cache in blocks of a pool, in which sequences share the blocks of what they begin with."""

import torch
from torch import Tensor

from regard.errors import CacheError
from regard.layers.caches.contract import Kept, check_crop, check_without_gradient
from regard.layers.caches.pool import BlockPool


class PagedCache:
    """Keeps all keys and values in blocks of a pool; a block that others hold too is copied before it is written.

    Blocks that all batch items have in common are read once for all of them: after `reorder`, or in a `fork`, items
    share what they begin with. `crop(0)` gives every block back.

    Args:
        pool: where its blocks are; one for each attention layer, which several caches may share.

    Source: Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention",
    sections 4.3 and 4.4; reading shared beginnings once: Juravsky et al. 2024, "Hydragen".
    """

    turns_late = False

    def __init__(self, pool: BlockPool) -> None:
        self.pool = pool
        self.length = 0
        self._table = torch.zeros(0, 0, dtype=torch.long, device="cpu")

    @property
    def kept(self) -> Kept | None:
        """What is kept now."""
        if not self.length:
            return None
        columns = self._shared_columns()
        shared = columns * self.pool.size
        prefix = Kept(*self.pool.read(self._table[:1, :columns], shared)) if shared else None
        return Kept(*self.pool.read(self._table[:, columns:], self.length - shared), prefix=prefix)

    def extend(self, key: Tensor, value: Tensor) -> Kept:
        """Write the next positions into blocks of the pool, and return all; see `Cache.extend`."""
        check_without_gradient("PagedCache", key, value)
        self._check_items(len(key))
        self.pool.check(key, value)
        positions = torch.arange(self.length, self.length + key.shape[2], device="cpu")
        self._make_room(len(key), self.length + key.shape[2])
        self.pool.write(self._table[:, positions // self.pool.size], positions % self.pool.size, key, value)
        self.length += key.shape[2]
        return self.kept or Kept(key, value)

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was; items that were one share their blocks."""
        before, self._table = self._table, self._held_by(items)
        self.pool.give_back(before)

    def fork(self, items: Tensor) -> "PagedCache":
        """Return another cache, whose item i goes on from item `items[i]` of this one and shares its blocks."""
        other = PagedCache(self.pool)
        other.length, other._table = self.length, self._held_by(items)
        return other

    def crop(self, length: int) -> None:
        """Forget all positions from this one on, and give back the blocks that held no others."""
        check_crop(length, self.length)
        columns = -(-length // self.pool.size)
        self.pool.give_back(self._table[:, columns:])
        self._table, self.length = self._table[:, :columns], length

    def _held_by(self, items: Tensor) -> Tensor:
        """Return the blocks of some items, which now have these as holders too."""
        table = self._table[items.to(self._table.device)] if self.length else self._table
        self.pool.hold(table)
        return table

    def _make_room(self, items: int, length: int) -> None:
        """Take blocks for so many positions, and copies of those that others hold and that are written to."""
        table = self._table if self.length else self._table.new_zeros(items, 0)
        column, within = divmod(self.length, self.pool.size)
        rows = torch.zeros(0, dtype=torch.long, device="cpu")
        if within and length > self.length:
            # Of the holders of a shared block all but one need a copy; to copy for each is one block more at most.
            rows = self.pool.shared(table[:, column]).nonzero().flatten()
        missing = -(-length // self.pool.size) - table.shape[1]
        taken = self.pool.take(len(rows) + items * missing)
        copies, new = taken[: len(rows)], taken[len(rows) :].view(items, missing)
        if len(rows):
            old = table[rows, column]
            self.pool.copy(old, copies)
            table = table.clone()
            table[rows, column] = copies
            self.pool.give_back(old)
        self._table = torch.cat([table, new], 1)

    def _shared_columns(self) -> int:
        """Return how many full blocks at the start all items have in common."""
        if len(self._table) < 2:
            return 0
        same = (self._table == self._table[:1]).all(0)[: self.length // self.pool.size]
        return int(same.long().cumprod(0).sum())

    def _check_items(self, items: int) -> None:
        if self.length and items != len(self._table):
            raise CacheError(
                f"expected {len(self._table)} batch items, as those kept; got {items}. Take a new cache for a new"
                " batch"
            )
