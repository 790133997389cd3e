"""Masks of sparse patterns: blocks, strides, summaries, global tokens, random blocks."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.bands import Band, Every, as_tensor, causal, positive
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.mechanisms.random import hashed
from regard.shapes import Sizes


@dataclass(frozen=True)
class SameBlock(Mask):
    """A query may attend to keys in its own block of `size` positions."""

    size: int

    def allowed(self, grid: Grid) -> Tensor:
        """Compare the numbers of the blocks."""
        return grid.query // self.size == grid.key // self.size

    def bounds(self, blocks: Blocks) -> Bounds:
        """Compare the first and last blocks that each rectangle touches."""
        low_query, high_query = blocks.query_start // self.size, (blocks.query_stop - 1) // self.size
        low_key, high_key = blocks.key_start // self.size, (blocks.key_stop - 1) // self.size
        some = (low_query <= high_key) & (low_key <= high_query)
        return Bounds(some, (low_query == high_key) & (low_key == high_query))

    @property
    def exact(self) -> bool:
        """Yes."""
        return True

    @property
    def kind(self) -> str:
        """The words."""
        return f"own block of {self.size}"


@dataclass(frozen=True)
class Summaries(Mask):
    """Everyone may attend to the last `tail` keys of each block of `size` positions."""

    size: int
    tail: int

    def allowed(self, grid: Grid) -> Tensor:
        """Look at the key's place in its block."""
        return grid.key % self.size >= self.size - self.tail

    def bounds(self, blocks: Blocks) -> Bounds:
        """Count such keys in each range."""
        inside = self._before(blocks.key_stop) - self._before(blocks.key_start)
        return Bounds(inside > 0, inside == blocks.key_stop - blocks.key_start)

    def _before(self, place: Tensor) -> Tensor:
        """Return how many such keys stand before a place."""
        return place // self.size * self.tail + (place % self.size - (self.size - self.tail)).clamp(min=0)

    @property
    def exact(self) -> bool:
        """Yes."""
        return True

    @property
    def kind(self) -> str:
        """The words."""
        return f"last {self.tail} of each {self.size}"


@dataclass(frozen=True, eq=False)
class Among(Mask):
    """Allows what has its query, or its key, among some positions.

    Attributes:
        flags: (last position + 2,) booleans, True for these positions; the last one, False, is for all beyond.
        keys: whether keys are asked, else queries.
    """

    flags: Tensor
    keys: bool

    def allowed(self, grid: Grid) -> Tensor:
        """Look the position up."""
        place = grid.key if self.keys else grid.query
        return self.flags.to(place.device)[place.clamp(max=len(self.flags) - 1)]

    def bounds(self, blocks: Blocks) -> Bounds:
        """Count the positions in each range."""
        start, stop = (blocks.key_start, blocks.key_stop) if self.keys else (blocks.query_start, blocks.query_stop)
        before = torch.nn.functional.pad(self.flags.cpu().long().cumsum(0), (1, 0))
        last = len(self.flags)
        inside = before[stop.clamp(max=last)] - before[start.clamp(max=last)]
        return Bounds(inside > 0, inside == stop - start)

    @property
    def exact(self) -> bool:
        """Yes."""
        return True

    @property
    def kind(self) -> str:
        """The words."""
        return f"{'keys' if self.keys else 'queries'} among {int(self.flags.sum())}"


@dataclass(frozen=True)
class RandomBlocks(Mask):
    """Each block of queries may attend to `drawn` blocks of keys, drawn by a seed for each head."""

    size: int
    drawn: int
    seed: int

    def allowed(self, grid: Grid) -> Tensor:
        """Look the blocks up."""
        table = self._table(grid.sizes).to(grid.key.device)
        if grid.batch.ndim == 4:
            part = table[grid.head.flatten()]
            part = part.index_select(1, grid.query.flatten() // self.size)
            return part.index_select(2, grid.key // self.size)
        return table[grid.head, grid.query // self.size, grid.key // self.size]

    def bounds(self, blocks: Blocks) -> Bounds:
        """Count the drawn blocks that each rectangle touches."""
        summed = torch.nn.functional.pad(self._table(blocks.sizes).long().cumsum(1).cumsum(2), (1, 0, 1, 0))
        top, bottom = blocks.query_start // self.size, -(-blocks.query_stop // self.size)
        left, right = blocks.key_start // self.size, -(-blocks.key_stop // self.size)
        inside = summed[:, bottom, right] - summed[:, top, right] - summed[:, bottom, left] + summed[:, top, left]
        return Bounds(inside > 0, inside == (bottom - top) * (right - left))

    @property
    def exact(self) -> bool:
        """Yes."""
        return True

    def _table(self, sizes: Sizes) -> Tensor:
        rows, columns = -(-sizes.queries // self.size), -(-sizes.keys // self.size)
        return _drawn(sizes.heads, rows, columns, min(self.drawn, columns), self.seed)

    @property
    def kind(self) -> str:
        """The words."""
        return f"{self.drawn} random blocks of {self.size}"


@lru_cache(maxsize=4)
def _drawn(heads: int, rows: int, columns: int, drawn: int, seed: int) -> Tensor:
    """Return (heads, rows, columns) booleans, `drawn` of them True in each row."""
    head, row, column = (torch.arange(count, device="cpu") for count in (heads, rows, columns))
    noise = hashed(seed, head.view(-1, 1, 1), row.view(-1, 1), column)
    table = torch.zeros(noise.shape, dtype=torch.bool, device="cpu")
    return table.scatter_(-1, noise.topk(drawn, -1).indices, True) if drawn else table


def strided(stride: int) -> Mask:
    """A query may attend to its own and the `stride - 1` keys before it, and to every `stride`-th key before.

    Args:
        stride: near the square root of the length, at least 1.

    Raises:
        MaskError: a stride below 1.

    Source: Child et al. 2019, "Generating Long Sequences with Sparse Transformers", section 4.2, strided.
    """
    step = positive("strided", "stride", stride)
    return causal() & (Band(step - 1, 0, "first") | Every(step))


def fixed(stride: int, summaries: int = 1) -> Mask:
    """A query may attend to its own block and to the last keys of each block before.

    Args:
        stride: how many positions a block has, at least 1.
        summaries: how many keys at the end of each block everyone after may attend to, 1 to stride.

    Raises:
        MaskError: numbers out of these ranges.

    Source: Child et al. 2019, "Generating Long Sequences with Sparse Transformers", section 4.2, fixed.
    """
    size, count = positive("fixed", "stride", stride), positive("fixed", "summaries", summaries)
    if count > size:
        raise MaskError(f"fixed: expected at most {size} summaries, as many as a block has; got {count}")
    return causal() & (SameBlock(size) | Summaries(size, count))


def global_tokens(positions: int | list[int] | Tensor) -> Mask:
    """Everyone may attend to some tokens, and they to everyone; join it to a local mask with `|`.

    Args:
        positions: how many tokens at the beginning, or the positions of the tokens.

    Raises:
        MaskError: something else than whole numbers of at least 0.

    Source: Beltagy et al. 2020, "Longformer", section 3.1, global attention.
    """
    if isinstance(positions, int) and not isinstance(positions, bool) and positions >= 0:
        positions = torch.arange(positions, device="cpu")
    given = as_tensor("global_tokens", positions)
    whole = given.ndim == 1 and (not given.numel() or not given.dtype.is_floating_point)
    if not whole or given.dtype == torch.bool or (given.numel() and int(given.min()) < 0):
        raise MaskError(f"global_tokens: expected how many tokens, or their positions from 0; got {positions!r}")
    flags = torch.zeros(int(given.max()) + 2 if given.numel() else 1, dtype=torch.bool, device="cpu")
    flags[given.long().cpu()] = True
    return Among(flags, keys=False) | Among(flags, keys=True)


def random_blocks(size: int, count: int, *, seed: int = 0) -> Mask:
    """Each block of queries may attend to some blocks of keys, drawn at random; join it to a local mask with `|`.

    Args:
        size: how many positions a block has.
        count: how many blocks of keys each block of queries sees; all where there are fewer.
        seed: what they are drawn by; heads draw for themselves, batch items alike.

    Raises:
        MaskError: numbers below 1.

    Source: Zaheer et al. 2020, "Big Bird: Transformers for Longer Sequences", section 2.
    """
    if not isinstance(seed, int):
        raise MaskError(f"random_blocks: expected a whole number as seed; got {seed!r}")
    return RandomBlocks(positive("random_blocks", "size", size), positive("random_blocks", "count", count), seed)
