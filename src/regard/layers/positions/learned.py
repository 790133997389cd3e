"""Positions as a table that is learned, added to embeddings."""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from regard.errors import LayerError, ShapeError
from regard.layers.positions.checks import check_positions


class Learned(nn.Module):
    """A vector for each position, as `weight` (count, width); there are none beyond `count`.

    Args:
        count: how many positions there are.
        width: of a vector.

    Raises:
        LayerError: a number is not positive.

    Source: Gehring et al. 2017, "Convolutional Sequence to Sequence Learning", section 3.1; first values as in
    Devlin et al. 2019 (BERT), normal with standard deviation 0.02.
    """

    def __init__(self, count: int, width: int) -> None:
        if count < 1 or width < 1:
            raise LayerError(f"Learned: expected a count and a width of at least 1; got {count} and {width}")
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, positions: Tensor) -> Tensor:
        """Look positions up.

        Args:
            positions: (N,) or (B, N), whole numbers from 0 to count - 1.

        Returns:
            (N, width) or (B, N, width).

        Raises:
            ShapeError: positions are no whole numbers, or a position is not in the table; on other devices than
                the CPU, and in compiled code, that is left to torch.
        """
        check_positions("Learned", positions)
        if positions.is_floating_point():
            raise ShapeError(f"Learned: expected positions as whole numbers; got {positions.dtype}")
        if positions.device.type == "cpu" and positions.numel() and not torch.compiler.is_compiling():
            self._check_inside(positions)
        return embedding(positions, self.weight)

    def _check_inside(self, positions: Tensor) -> None:
        least, most = (int(end) for end in positions.aminmax())
        if least < 0 or most >= len(self.weight):
            raise ShapeError(
                f"Learned: expected positions from 0 to {len(self.weight) - 1}; got {least} to {most}. Give fewer"
                " tokens, or a model with more positions"
            )

    def extra_repr(self) -> str:
        """Return the numbers, for people."""
        count, width = self.weight.shape
        return f"count={count}, width={width}"
