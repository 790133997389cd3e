"""Frequencies that fall from 1 towards 1 / base, and what they make of positions."""

import torch
from torch import Tensor

from regard.errors import LayerError


def falling_frequencies(name: str, width: int, base: float) -> Tensor:
    """Return base^(-2i/width) for i = 0 .. width/2 - 1, in float64 on the CPU.

    Raises:
        LayerError: with the layer's name, where the width is not even and positive or the base not above 1.
    """
    if width < 2 or width % 2:
        raise LayerError(f"{name}: expected an even width for each axis, at least 2; got {width!r}")
    if not 1 < base < float("inf"):
        raise LayerError(f"{name}: expected a base above 1, such as 10000; got {base!r}")
    return base ** (-torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width)


def waves(angles: Tensor, interleaved: bool) -> Tensor:
    """Return sine and cosine of angles (..., d/2): (..., d), in turn where interleaved, else all sines first."""
    pair = (angles.sin(), angles.cos())
    return torch.stack(pair, dim=-1).flatten(-2) if interleaved else torch.cat(pair, dim=-1)
