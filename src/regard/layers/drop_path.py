"""Stochastic depth: whole residual branches are left out at random in training."""

import torch
from torch import Tensor, nn

from regard.errors import LayerError


class DropPath(nn.Module):
    """Sets what a branch gives for a batch item to 0 with some probability, the others growing to make up for it.

    In evaluation it changes nothing.

    Args:
        rate: the probability, from 0 to below 1.

    Raises:
        LayerError: another rate.

    Source: Huang et al. 2016, "Deep Networks with Stochastic Depth", section 3.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise LayerError(f"DropPath: expected a rate from 0 to below 1; got {rate!r}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, ...) with some batch items 0."""
        if not self.training or not self.rate:
            return x
        stays = torch.rand(x.shape[0], *[1] * (x.ndim - 1), device=x.device) >= self.rate
        return x * stays / (1 - self.rate)

    def extra_repr(self) -> str:
        """Return the rate, for people."""
        return f"{self.rate:g}"
