"""A mask given as a tensor."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks.rule import Mask
from regard.shapes import Sizes, broadcasts


@dataclass(frozen=True, eq=False)
class TensorMask(Mask):
    """A tensor that broadcasts to (B, H, Nq, Nk): booleans (True = may attend) or numbers added to the scores."""

    tensor: Tensor

    def __post_init__(self) -> None:
        kind = self.tensor.dtype
        if kind != torch.bool and not kind.is_floating_point:
            raise MaskError(
                f"mask tensor: expected booleans (True = may attend) or floats (added to scores); got {kind}."
                " For 0/1 integers use mask.bool()"
            )
        if self.tensor.ndim > 4:
            raise MaskError(f"mask tensor: expected at most 4 axes (B, H, Nq, Nk); got {self.tensor.ndim}")

    def check(self, sizes: Sizes) -> None:
        """Expect a shape that broadcasts to (B, H, Nq, Nk)."""
        wanted = (sizes.batch, sizes.heads, sizes.queries, sizes.keys)
        if not broadcasts(self.tensor.shape, wanted):
            raise MaskError(
                f"mask tensor: expected a shape that broadcasts to (B, H, Nq, Nk) = {wanted};"
                f" got {tuple(self.tensor.shape)}"
            )

    def allowed(self, grid: Grid) -> Tensor:
        """Read the booleans off the tensor; a number forbids where it is -inf."""
        values = grid.read(self.tensor)
        return values if values.dtype == torch.bool else values != -torch.inf

    def bias(self, grid: Grid) -> Tensor | None:
        """Read the numbers off the tensor, if it holds numbers."""
        return grid.read(self.tensor) if self.adds else None

    @property
    def adds(self) -> bool:
        """Whether the tensor holds numbers."""
        return self.tensor.dtype != torch.bool

    @property
    def made_for(self) -> tuple[int, int]:
        """The items and heads of its tensor."""
        return (1, 1, *self.tensor.shape[:-2])[-2:]

    @property
    def kind(self) -> str:
        """The data type, in a word."""
        return "added tensor" if self.adds else "boolean tensor"
