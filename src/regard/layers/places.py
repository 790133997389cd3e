"""Masks and modifiers that speak of whole sequences, asked by queries that are the last positions of one.

With a cache the queries of a call are the last positions of a sequence, and of the keys some may be gone. A mask or
modifier of the whole sequence is asked at their places: so a cache changes nothing of what it says.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from regard.mechanisms.attention import Attention
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.bands import Band
from regard.mechanisms.masks.lengths import Padding
from regard.mechanisms.masks.rule import Both, Bounds, Either, Full, Mask, Not
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import Alibi, Bias, Modifier, RelativeBuckets, SoftCap
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

    def blocks(self, blocks: Blocks) -> Blocks:
        """Return blocks of the call as those of the sequence, where all keys are there."""
        start, stop = blocks.query_start + self.first, blocks.query_stop + self.first
        return replace(blocks, query_start=start, query_stop=stop, sizes=self.sizes(blocks.sizes))

    def mechanism(self, attention: Attention) -> Attention:
        """Return attention over the sequence as attention in the call."""
        if self.all_from_start:
            return attention
        modify = tuple(self.modifier(each) for each in attention.modifiers)
        return replace(attention, modify=modify, mask=self.mask(attention.rule))

    def modifier(self, modifier: Modifier) -> Modifier:
        """Return a modifier of the sequence as one of the call."""
        if isinstance(modifier, SoftCap):
            return modifier
        if isinstance(modifier, Alibi | RelativeBuckets) and self.keys is None:
            return replace(modifier, align="last")
        return PlacedBias(modifier, self) if isinstance(modifier, Bias) else PlacedModifier(modifier, self)

    def mask(self, mask: Mask) -> Mask:
        """Return a mask of the sequence as one of the call, as plain as it can be."""
        if self.all_from_start or isinstance(mask, Full):
            return mask
        if isinstance(mask, Both):
            return self.mask(mask.left) & self.mask(mask.right)
        if isinstance(mask, Either):
            return self.mask(mask.left) | self.mask(mask.right)
        if isinstance(mask, Not):
            return ~self.mask(mask.inner)
        if self.keys is not None:
            return PlacedMask(mask, self)
        if isinstance(mask, Band):
            return Full() if self.queries == 1 and mask.back is None else replace(mask, align="last")
        return mask if _asks_keys_alone(mask) else PlacedMask(mask, self)


@dataclass(frozen=True, eq=False)
class PlacedMask(Mask):
    """What a mask of the whole sequence allows the queries of a call."""

    inner: Mask
    places: Places

    def allowed(self, grid: Grid) -> Tensor:
        """Ask at the places in the sequence."""
        return self.inner.allowed(self.places.grid(grid))

    def bias(self, grid: Grid) -> Tensor | None:
        """Ask at the places in the sequence."""
        return self.inner.bias(self.places.grid(grid))

    def bounds(self, blocks: Blocks) -> Bounds:
        """Ask of the places in the sequence, where keys stand side by side."""
        return Bounds.unknown() if self.places.keys is not None else self.inner.bounds(self.places.blocks(blocks))

    @property
    def exact(self) -> bool:
        """As the mask of the sequence is, where keys stand side by side."""
        return self.places.keys is None and self.inner.exact

    def check(self, sizes: Sizes) -> None:
        """Check that the mask fits the whole sequence."""
        self.inner.check(self.places.sizes(sizes))

    @property
    def adds(self) -> bool:
        """As the mask of the sequence."""
        return self.inner.adds

    @property
    def made_for(self) -> tuple[int, int]:
        """As the mask of the sequence."""
        return self.inner.made_for

    @property
    def kind(self) -> str:
        """Its name, and from where on."""
        return f"{self.inner.kind} from {self.places.first}"


@dataclass(frozen=True, eq=False)
class PlacedModifier(Modifier):
    """What a modifier of the whole sequence does to the scores of a call."""

    inner: Modifier
    places: Places

    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Apply it at the places in the sequence."""
        return self.inner.apply(S, self.places.grid(grid))

    def check(self, sizes: Sizes) -> None:
        """Check that it fits the whole sequence."""
        self.inner.check(self.places.sizes(sizes))

    @property
    def kind(self) -> str:
        """Its name."""
        return self.inner.kind


@dataclass(frozen=True, eq=False)
class PlacedBias(Bias):
    """What a bias of the whole sequence adds to the scores of a call."""

    inner: Bias
    places: Places

    def on(self, grid: Grid) -> Tensor:
        """Ask at the places in the sequence."""
        return self.inner.on(self.places.grid(grid))

    def check(self, sizes: Sizes) -> None:
        """Check that it fits the whole sequence."""
        self.inner.check(self.places.sizes(sizes))

    @property
    def kind(self) -> str:
        """Its name."""
        return self.inner.kind


def _asks_keys_alone(mask: Mask) -> bool:
    """Whether all queries get the same answer, wherever they stand."""
    return isinstance(mask, Padding) or (isinstance(mask, TensorMask) and (1, *mask.tensor.shape)[-2:-1] == (1,))


def _moved(positions: slice, by: int) -> slice:
    return slice(positions.start + by, positions.stop + by)
