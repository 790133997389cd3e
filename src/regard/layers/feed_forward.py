"""Feed-forward layers: each position by itself through a wider layer."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from regard.layers.projection import Projection

Activation = Callable[[Tensor], Tensor]


class FeedForward(nn.Module):
    """Two projections with an activation between them, `out(activation(into(x)))`.

    Args:
        width: width of inputs and outputs.
        hidden: width between the projections.
        activation: a function or module.
        bias: whether the projections add a bias.
        dropout: probability with which a hidden number is dropped in training.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 2.
    """

    def __init__(
        self, width: int, hidden: int, activation: Activation = F.gelu, *, bias: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.into = Projection(width, hidden, bias=bias)
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.out = Projection(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return as many vectors as came, x being (..., width)."""
        y: Tensor = self.out(self.dropout(self.activation(self.into(x))))
        return y


class GatedFeedForward(nn.Module):
    """A feed-forward layer whose hidden numbers pass a gate, `out(activation(gate(x)) * into(x))`.

    Args:
        width: width of inputs and outputs.
        hidden: width between the projections.
        activation: of the gate, a function or module: `silu` gives SwiGLU, `gelu` GEGLU, `sigmoid` GLU.
        bias: whether the projections add a bias.
        dropout: probability with which a hidden number is dropped in training.

    Source: Shazeer 2020, "GLU Variants Improve Transformer", equations 5 and 6.
    """

    def __init__(
        self, width: int, hidden: int, activation: Activation = F.silu, *, bias: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.gate = Projection(width, hidden, bias=bias)
        self.into = Projection(width, hidden, bias=bias)
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        self.out = Projection(hidden, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return as many vectors as came, x being (..., width)."""
        y: Tensor = self.out(self.dropout(self.activation(self.gate(x)) * self.into(x)))
        return y
