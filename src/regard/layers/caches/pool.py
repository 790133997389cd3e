"""Memory for keys and values in blocks of a fixed number of positions, which several sequences may share."""

import torch
from torch import Tensor

from regard.errors import CacheError


class BlockPool:
    """Blocks of memory, each held by so many sequences; the memory is taken when the first keys are written.

    Args:
        blocks: how many blocks.
        size: how many positions a block holds.

    Raises:
        CacheError: less than one of either.

    Source: Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention",
    section 4.
    """

    def __init__(self, blocks: int, size: int = 16) -> None:
        if blocks < 1 or size < 1:
            raise CacheError(f"BlockPool: expected at least one block and position; got {blocks} and {size}")
        self.blocks, self.size = blocks, size
        self._holders = torch.zeros(blocks, dtype=torch.long, device="cpu")
        self._memory: tuple[Tensor, Tensor] | None = None

    @property
    def free(self) -> int:
        """How many blocks nobody holds."""
        return int((self._holders == 0).sum())

    def shared(self, blocks: Tensor) -> Tensor:
        """Return which of these blocks have more than one holder."""
        return self._holders[blocks] > 1

    def take(self, count: int) -> Tensor:
        """Return blocks (count,) that are now held once.

        Raises:
            CacheError: there are not as many free ones.
        """
        free = (self._holders == 0).nonzero().flatten()
        if len(free) < count:
            raise CacheError(
                f"expected {count} free blocks of {self.size} positions; got {len(free)} of {self.blocks}. Crop"
                " caches that are done to 0, or make the pool larger"
            )
        self._holders[free[:count]] = 1
        return free[:count]

    def hold(self, blocks: Tensor) -> None:
        """Add a holder to each block, as often as it is named."""
        self._holders += torch.bincount(blocks.flatten(), minlength=self.blocks)

    def give_back(self, blocks: Tensor) -> None:
        """Take a holder away from each block, as often as it is named."""
        self._holders -= torch.bincount(blocks.flatten(), minlength=self.blocks)

    def copy(self, source: Tensor, target: Tensor) -> None:
        """Write what some blocks hold into others."""
        for memory in self._memory or ():
            memory[target.to(memory.device)] = memory[source.to(memory.device)]

    def write(self, blocks: Tensor, offsets: Tensor, key: Tensor, value: Tensor) -> None:
        """Write keys and values.

        Args:
            blocks: (B, N), the block of each position.
            offsets: (N,), the place of each position in its block.
            key: (B, G, N, D).
            value: (B, G, N, Dv).
        """
        if self._memory is None:
            self._memory = self._new(key), self._new(value)
        for memory, new in zip(self._memory, (key, value), strict=True):
            memory[blocks.to(memory.device), :, offsets.to(memory.device)] = new.transpose(1, 2)

    def read(self, table: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the keys and values (B, G, length, ...) in blocks (B, columns), side by side.

        Raises:
            CacheError: nothing was written yet.
        """
        if self._memory is None:
            raise CacheError("expected a pool that was written to; got an empty one")
        key, value = (
            memory[table.to(memory.device)].transpose(1, 2).flatten(2, 3)[:, :, :length] for memory in self._memory
        )
        return key, value

    def check(self, key: Tensor, value: Tensor) -> None:
        """Raise CacheError where keys and values are not such as the pool holds."""
        for memory, new in zip(self._memory or (key, value), (key, value), strict=True):
            wanted, got = (memory.shape[1::2], memory.dtype), (new.shape[1::2], new.dtype)
            if wanted != got or memory.device != new.device:
                raise CacheError(
                    f"expected (heads, width) {tuple(wanted[0])} in {wanted[1]} on {memory.device}, as in the"
                    f" pool; got {tuple(got[0])} in {got[1]} on {new.device}. Take a pool for each layer"
                )

    def _new(self, like: Tensor) -> Tensor:
        """Return memory (blocks, G, size, D) for keys or values like these."""
        return like.new_zeros(self.blocks, like.shape[1], self.size, like.shape[3])
