"""Positions as waves of many lengths, added to embeddings."""

from torch import Tensor, nn

from regard.layers.positions.checks import check_positions
from regard.layers.positions.fixed import FixedNumbers
from regard.layers.positions.frequencies import falling_frequencies, waves


class Sinusoidal(nn.Module):
    """Numbers `sin(position * base^(-2i/d))` and `cos(...)` of a position, for any position, without parameters.

    Args:
        width: d, even.
        base: where frequencies fall to.
        interleaved: whether sines and cosines take turns, as in the paper, rather than all sines come first, as in
            Marian.

    Raises:
        LayerError: the width is not even or is 0, or the base not above 1.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.5.
    """

    def __init__(self, width: int, base: float = 10000.0, interleaved: bool = True) -> None:
        super().__init__()
        self.width, self.base, self.interleaved = width, base, interleaved
        self.frequencies = FixedNumbers(falling_frequencies("Sinusoidal", width, base))

    def forward(self, positions: Tensor) -> Tensor:
        """Return the numbers.

        Args:
            positions: (N,) or (B, N).

        Returns:
            (N, width) or (B, N, width) in the data type that the module was moved to, computed in float32.

        Raises:
            ShapeError: positions are no numbers.
        """
        check_positions("Sinusoidal", positions)
        rates = self.frequencies(positions.device)
        angles = positions.unsqueeze(-1).to(rates.dtype) * rates  # (N, d/2) or (B, N, d/2)
        return waves(angles, self.interleaved).to(self.frequencies.dtype)

    def extra_repr(self) -> str:
        """Return the numbers, for people."""
        return f"width={self.width}, base={self.base:g}, interleaved={self.interleaved}"
