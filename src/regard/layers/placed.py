"""Masks and modifiers that are asked elsewhere than at the positions of a call: where a placing puts them."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.mechanisms.modifiers import Bias, Modifier
from regard.shapes import Sizes


class Placing(Protocol):
    """Where the positions of a call lie in something larger."""

    def sizes(self, call: Sizes) -> Sizes:
        """Return the sizes of the larger one."""

    def grid(self, grid: Grid) -> Grid:
        """Return a grid of the call as one of the larger one."""

    def blocks(self, blocks: Blocks) -> Blocks | None:
        """Return blocks of the call as blocks of the larger one, None where they are none."""


def placed(modifier: Modifier, places: Placing) -> Modifier:
    """Return a modifier that is asked where a placing says."""
    return PlacedBias(modifier, places) if isinstance(modifier, Bias) else PlacedModifier(modifier, places)


@dataclass(frozen=True, eq=False)
class PlacedMask(Mask):
    """A mask that is asked where a placing says."""

    inner: Mask
    places: Placing

    def allowed(self, grid: Grid) -> Tensor:
        """Ask there."""
        return self.inner.allowed(self.places.grid(grid))

    def bias(self, grid: Grid) -> Tensor | None:
        """Ask there."""
        return self.inner.bias(self.places.grid(grid))

    def bounds(self, blocks: Blocks) -> Bounds:
        """Ask of the blocks there, where there are any."""
        there = self.places.blocks(blocks)
        return Bounds.unknown() if there is None else self.inner.bounds(there)

    def check(self, sizes: Sizes) -> None:
        """Check that it fits what is there."""
        self.inner.check(self.places.sizes(sizes))

    @property
    def adds(self) -> bool:
        """As the mask is."""
        return self.inner.adds

    @property
    def made_for(self) -> tuple[int, int]:
        """As the mask is."""
        return self.inner.made_for

    @property
    def kind(self) -> str:
        """Its name."""
        return self.inner.kind


@dataclass(frozen=True, eq=False)
class PlacedModifier(Modifier):
    """A modifier that is asked where a placing says."""

    inner: Modifier
    places: Placing

    def apply(self, S: Tensor, grid: Grid) -> Tensor:
        """Apply it there."""
        return self.inner.apply(S, self.places.grid(grid))

    def check(self, sizes: Sizes) -> None:
        """Check that it fits what is there."""
        self.inner.check(self.places.sizes(sizes))

    @property
    def kind(self) -> str:
        """Its name."""
        return self.inner.kind


@dataclass(frozen=True, eq=False)
class PlacedBias(Bias):
    """A bias that is asked where a placing says."""

    inner: Bias
    places: Placing

    def on(self, grid: Grid) -> Tensor:
        """Ask there."""
        return self.inner.on(self.places.grid(grid))

    def check(self, sizes: Sizes) -> None:
        """Check that it fits what is there."""
        self.inner.check(self.places.sizes(sizes))

    @property
    def kind(self) -> str:
        """Its name."""
        return self.inner.kind
