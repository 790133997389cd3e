"""Masks over the patches of an image."""

from dataclasses import dataclass

from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.bands import positive
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.shapes import Sizes


@dataclass(frozen=True)
class Neighbourhood(Mask):
    """A patch may attend to patches at most `radius` rows and columns away; patches stand row by row."""

    height: int
    width: int
    radius: int

    def check(self, sizes: Sizes) -> None:
        """Expect as many queries and keys as patches."""
        if not sizes.queries == sizes.keys == self.height * self.width:
            raise MaskError(
                f"neighbourhood: expected {self.height} x {self.width} = {self.height * self.width} queries and"
                f" keys; got {sizes.queries} and {sizes.keys}"
            )

    def allowed(self, grid: Grid) -> Tensor:
        """Compare rows and columns."""
        rows = grid.query // self.width - grid.key // self.width
        columns = grid.query % self.width - grid.key % self.width
        return (rows.abs_() <= self.radius) & (columns.abs_() <= self.radius)

    def bounds(self, blocks: Blocks) -> Bounds:
        """Compare the rows that each block touches."""
        top, bottom = blocks.query_start // self.width, (blocks.query_stop - 1) // self.width
        first, last = blocks.key_start // self.width, (blocks.key_stop - 1) // self.width
        some = (first - bottom <= self.radius) & (top - last <= self.radius)
        within_rows = ((last - top) <= self.radius) & ((bottom - first) <= self.radius)
        return Bounds(some, within_rows & (self.width <= self.radius + 1))

    @property
    def kind(self) -> str:
        """The words."""
        return f"neighbourhood of {self.radius} in {self.height} x {self.width}"


def neighbourhood(height: int, width: int, radius: int) -> Mask:
    """A patch of an image may attend to the patches around it.

    Args:
        height: how many rows of patches.
        width: how many columns of patches.
        radius: how many rows and columns away; 1 sees a square of 3 x 3.

    Raises:
        MaskError: no image, or a negative radius; when called, another number of positions.

    Source: Parmar et al. 2018, "Image Transformer", section 3.3, two-dimensional local attention.
    """
    if not isinstance(radius, int) or isinstance(radius, bool) or radius < 0:
        raise MaskError(f"neighbourhood: expected a radius of at least 0; got {radius!r}")
    return Neighbourhood(
        positive("neighbourhood", "height", height), positive("neighbourhood", "width", width), radius
    )
