"""Masks and modifiers that speak of whole sequences, asked by queries that are the last positions of one.

With a cache the queries of a call are the last positions of a sequence, and of the keys some may be gone. A mask or
modifier of the whole sequence is asked at their places: so a cache changes nothing of what it says.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from regard.layers.placed import PlacedMask, placed
from regard.mechanisms.attention import Attention
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.lengths import Padding
from regard.mechanisms.masks.rule import Both, Either, Full, Mask, Not
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import Alibi, Modifier, RelativeBuckets, SoftCap
from regard.shapes import Sizes


@dataclass(frozen=True, eq=False)
class Places:
    """Where the queries and keys of a call stand in the sequence.

    Attributes:
        first: the place of the first query; the others follow it.
        queries: how many there are.
        keys: (Nk,), the places of the keys; None: 0 to first + queries - 1.
    """

    first: int
    queries: int
    keys: Tensor | None = None

    @property
    def all_from_start(self) -> bool:
        """Whether the call is the whole sequence."""
        return self.first == 0 and self.keys is None

    def sizes(self, call: Sizes) -> Sizes:
        """Return the sizes of the whole sequence."""
        length = self.first + self.queries
        return replace(call, queries=length, keys=length)

    def grid(self, grid: Grid) -> Grid:
        """Return a grid of the call as one of the sequence."""
        slices, key = None, grid.key
        if self.keys is not None:
            key = self.keys.to(key.device)[key]
        elif grid.slices is not None:
            slices = (_moved(grid.slices[0], self.first), grid.slices[1])
        return replace(grid, query=grid.query + self.first, key=key, sizes=self.sizes(grid.sizes), slices=slices)

    def blocks(self, blocks: Blocks) -> Blocks | None:
        """Return blocks of the call as those of the sequence, where no key is missing between others."""
        if self.keys is not None:
            return None
        start, stop = blocks.query_start + self.first, blocks.query_stop + self.first
        return replace(blocks, query_start=start, query_stop=stop, sizes=self.sizes(blocks.sizes))

    def mechanism(self, attention: Attention) -> Attention:
        """Return attention over the sequence as attention in the call."""
        if self.all_from_start:
            return attention
        masked = attention.masked(self.mask(attention.rule))
        if not attention.modifiers:
            return masked
        return replace(masked, modify=tuple(self.modifier(each) for each in attention.modifiers))

    def modifier(self, modifier: Modifier) -> Modifier:
        """Return a modifier of the sequence as one of the call."""
        if isinstance(modifier, SoftCap):
            return modifier
        if isinstance(modifier, Alibi | RelativeBuckets) and self.keys is None:
            return replace(modifier, align="last")
        return placed(modifier, self)

    def mask(self, mask: Mask) -> Mask:
        """Return a mask of the sequence as one of the call, as plain as it can be."""
        return mask if self.all_from_start else each_part(mask, self._plain)

    def _plain(self, mask: Mask) -> Mask:
        if isinstance(mask, Band) and self.queries == 1 and mask.back is None and mask.ahead is not None:
            return Full()
        if self.keys is not None:
            return PlacedMask(mask, self)
        if isinstance(mask, Band):
            return replace(mask, align="last")
        return mask if asks_keys_alone(mask) else PlacedMask(mask, self)


@dataclass(frozen=True, eq=False)
class Folded:
    """Queries of all batch items as one long item, before keys that the items have in common.

    Attributes:
        first: the place of the first query of each item in the sequence, after all of these keys.
        queries: how many each item has.
        batch: how many items there are.
    """

    first: int
    queries: int
    batch: int

    def sizes(self, call: Sizes) -> Sizes:
        """Return the sizes of the whole sequences."""
        length = self.first + self.queries
        return replace(call, batch=self.batch, queries=length, keys=length)

    def grid(self, grid: Grid) -> Grid:
        """Return a grid of the call as one of the sequences."""
        item, query = grid.query // self.queries, grid.query % self.queries + self.first
        return replace(grid, batch=item, query=query, sizes=self.sizes(grid.sizes), slices=None)

    def blocks(self, blocks: Blocks) -> Blocks | None:
        """Return None: a block of the call lies in several items."""
        return None

    def mechanism(self, attention: Attention) -> Attention:
        """Return attention over the sequences as attention in the call."""
        modify = tuple(each if isinstance(each, SoftCap) else placed(each, self) for each in attention.modifiers)
        return replace(attention, modify=modify, mask=each_part(attention.rule, self._plain))

    def _plain(self, mask: Mask) -> Mask:
        behind = isinstance(mask, Band) and mask.back is None
        return Full() if behind else PlacedMask(mask, self)


def each_part(mask: Mask, change: Callable[[Mask], Mask]) -> Mask:
    """Return a mask with each part that it is combined of changed; what allows everything stays so."""
    if isinstance(mask, Full):
        return mask
    if isinstance(mask, Both):
        return each_part(mask.left, change) & each_part(mask.right, change)
    if isinstance(mask, Either):
        return each_part(mask.left, change) | each_part(mask.right, change)
    return ~each_part(mask.inner, change) if isinstance(mask, Not) else change(mask)


def asks_keys_alone(mask: Mask) -> bool:
    """Whether all queries get the same answer, wherever they stand."""
    return isinstance(mask, Padding) or (isinstance(mask, TensorMask) and (1, *mask.tensor.shape)[-2:-1] == (1,))


def _moved(positions: slice, by: int) -> slice:
    return slice(positions.start + by, positions.stop + by)
