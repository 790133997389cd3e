"""A learned summary of each stretch of keys or values."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import LayerError


class Compression(nn.Module):
    """Stretches of vectors, each made one vector by two projections with a GELU between them.

    To each vector of a stretch is added a learned one for its place there. Only whole stretches have a summary.

    Args:
        width: width of vectors and summaries.
        length: how many vectors make a stretch.
        stride: how many vectors after one stretch the next begins. Default: `length`.
        hidden: width between the projections. Default: `width`.

    Raises:
        LayerError: a length or stride below 1.

    Source: Yuan et al. 2025, "Native Sparse Attention", equation 7.
    """

    def __init__(self, width: int, length: int, stride: int | None = None, hidden: int | None = None) -> None:
        super().__init__()
        self.length, self.stride = length, length if stride is None else stride
        if length < 1 or self.stride < 1:
            raise LayerError(f"expected length and stride of at least 1; got {length} and {stride}")
        hidden = width if hidden is None else hidden
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        self.into = nn.Linear(length * width, hidden)
        self.out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return summaries (B, G, count, width) of vectors (B, G, N, width)."""
        if x.shape[2] < self.length:
            return x[:, :, :0]
        stretches = x.unfold(2, self.length, self.stride).mT + self.place  # (B, G, count, length, width)
        summaries: Tensor = self.out(F.gelu(self.into(stretches.flatten(3))))
        return summaries
