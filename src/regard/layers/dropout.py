"""Dropout whose random bits are drawn four numbers at a time, as on the CPU drawing takes most of its time."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# How many values the sixteen bits have that settle whether one number is kept.
_VALUES = 1 << 16


class Dropout(nn.Dropout):
    """`nn.Dropout`, of which on the CPU sixteen random bits settle whether a number is kept.

    There the probability is rounded to a multiple of 1 / 65,536. Elsewhere, and compiled, it is torch's own.

    Args:
        p: probability with which a number is dropped in training; the others are multiplied by 1 / (1 - p).

    Source: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def forward(self, x: Tensor) -> Tensor:
        """Return as many numbers as came."""
        if x.device.type != "cpu" or torch.compiler.is_compiling() or not (self.training and 0 < self.p < 1):
            return F.dropout(x, self.p, self.training)
        dropped = round(self.p * _VALUES)
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - _VALUES // 2
        result: Tensor = _Drop.apply(x, kept, _VALUES / max(1, _VALUES - dropped))  # type: ignore[no-untyped-call]
        return result


class _Drop(torch.autograd.Function):
    """Multiplies by a scale what is kept; booleans are all that the gradient needs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return (x * kept).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        return (grads[0] * kept).mul_(ctx.scale), None, None
