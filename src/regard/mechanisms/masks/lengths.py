"""Masks by length: padding and prefix. They ask whether a key stands before some position."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Blocks, Grid
from regard.mechanisms.masks.bands import as_tensor, causal
from regard.mechanisms.masks.rule import Bounds, Mask
from regard.shapes import Sizes


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Only the first `lengths[b]` keys of batch item b may be attended to; one length counts for every item."""

    lengths: Tensor
    name: str = "padding"

    def check(self, sizes: Sizes) -> None:
        """Expect one length a batch item, or one for all, none longer than the keys."""
        if self.lengths.ndim and self.lengths.shape != (sizes.batch,):
            raise MaskError(
                f"{self.name}: expected {sizes.batch} lengths, one a batch item;"
                f" got shape {tuple(self.lengths.shape)}"
            )
        if torch.compiler.is_compiling():
            return  # what lengths hold is not known then
        if self.lengths.numel() and not 0 <= int(self.lengths.min()) <= int(self.lengths.max()) <= sizes.keys:
            raise MaskError(
                f"{self.name}: expected lengths from 0 to {sizes.keys} (the keys); got {self.lengths.tolist()}"
            )

    def allowed(self, grid: Grid) -> Tensor:
        """Compare each key's place with its item's length."""
        lengths = self.lengths.to(grid.key.device)
        return grid.key < (lengths[grid.batch] if lengths.ndim else lengths)

    def bounds(self, blocks: Blocks) -> Bounds:
        """Compare each block's first and last key with the length."""
        lengths = self.lengths.cpu()
        lengths = lengths.view(-1, 1, 1, 1) if lengths.ndim else lengths
        return Bounds(blocks.key_start < lengths, blocks.key_stop <= lengths)

    @property
    def exact(self) -> bool:
        """Yes."""
        return True

    @property
    def made_for(self) -> tuple[int, int]:
        """As many items as there are lengths."""
        return (len(self.lengths) if self.lengths.ndim else 1), 1

    @property
    def kind(self) -> str:
        """The word."""
        return self.name


def padding(lengths: Tensor | list[int]) -> Mask:
    """Only the first `lengths[b]` keys of batch item b may be attended to.

    Args:
        lengths: (B,) whole numbers, 0 to Nk.

    Raises:
        MaskError: lengths that are not whole numbers, or (when called) not one a batch item.
    """
    return _lengths("padding", lengths)


def prefix(lengths: Tensor | list[int] | int) -> Mask:
    """Everyone may attend to the first positions, and beyond them to its own and earlier ones.

    Args:
        lengths: how many positions the prefix has: a whole number, or (B,) one a batch item.

    Raises:
        MaskError: lengths that are not whole numbers, or (when called) not from 0 to the keys.

    Source: prefix language model, Raffel et al. 2020 (T5), section 3.2.1.
    """
    if isinstance(lengths, int) and not isinstance(lengths, bool):
        return causal() | Padding(torch.tensor(lengths), "prefix")
    return causal() | _lengths("prefix", lengths)


def _lengths(name: str, lengths: Any) -> Padding:
    tensor = as_tensor(name, lengths)
    if tensor.ndim != 1 or tensor.dtype.is_floating_point or tensor.dtype == torch.bool:
        raise MaskError(
            f"{name}: expected whole numbers (B,), one length a batch item;"
            f" got {tensor.dtype} of shape {tuple(tensor.shape)}"
        )
    return Padding(tensor.long(), name)
