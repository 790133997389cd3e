"""Positions of patches of a picture, a row and a column each: as waves, or as turns of queries and keys."""

import torch
from torch import Tensor, nn

from regard.errors import LayerError
from regard.layers.positions.checks import check_coordinates, check_turned
from regard.layers.positions.fixed import FixedNumbers
from regard.layers.positions.frequencies import falling_frequencies, waves
from regard.layers.positions.rotary import turn
from regard.shapes import compute_dtype


def grid_positions(rows: int, columns: int, device: torch.device | str | None = None) -> Tensor:
    """Return the (row, column) of every patch, row by row: (rows * columns, 2)."""
    if rows < 0 or columns < 0:
        raise LayerError(f"grid_positions: expected how many rows and columns; got {rows} and {columns}")
    row, column = torch.arange(rows, device=device), torch.arange(columns, device=device)
    return torch.cartesian_prod(row, column)


class Sinusoidal2d(nn.Module):
    """Waves of the row in the first half of the width, of the column in the second; in each half sines come first.

    Args:
        width: a multiple of 4.
        base: where frequencies fall to.

    Raises:
        LayerError: the width is not a multiple of 4 or is 0, or the base not above 1.

    Source: He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners", appendix A.1, after Vaswani et al.
    2017. Where a model was trained with the column first, hand in `positions.flip(-1)`.
    """

    def __init__(self, width: int, base: float = 10000.0) -> None:
        _check_width("Sinusoidal2d", width)
        super().__init__()
        self.width, self.base = width, base
        self.frequencies = FixedNumbers(falling_frequencies("Sinusoidal2d", width // 2, base))

    def forward(self, positions: Tensor) -> Tensor:
        """Return the numbers.

        Args:
            positions: (N, 2) or (B, N, 2), a row and a column each; see `grid_positions`.

        Returns:
            (N, width) or (B, N, width) in the data type that the module was moved to, computed in float32.

        Raises:
            ShapeError: positions have no such shape.
        """
        check_coordinates("Sinusoidal2d", positions)
        angles = _angles(positions, self.frequencies)  # (..., N, 2, width/4)
        return waves(angles, interleaved=False).flatten(-2).to(self.frequencies.dtype)

    def extra_repr(self) -> str:
        """Return the numbers, for people."""
        return f"width={self.width}, base={self.base:g}"


class Rotary2d(nn.Module):
    """Turns half of the pairs of each query and key by the patch's row, the other half by its column.

    The score of a turned query and key depends on their vectors, and on how many rows and columns lie between them.
    A token without a place in the picture, such as a class token, is at (0, 0), which turns nothing.

    Args:
        width: of a head, a multiple of 4.
        base: where frequencies fall to; 100 is common for pictures, which are short.
        interleaved: whether pairs are neighbours rather than in two halves, as in `Rotary`.

    Raises:
        LayerError: the width is not a multiple of 4 or is 0, or the base not above 1.

    Source: Fang et al. 2023, "EVA-02: A Visual Representation for Neon Genesis"; Heo et al. 2024, "Rotary Position
    Embedding for Vision Transformer", section 3.2, axial frequencies.
    """

    def __init__(self, width: int, base: float = 10000.0, interleaved: bool = False) -> None:
        _check_width("Rotary2d", width)
        super().__init__()
        self.width, self.base, self.interleaved = width, base, interleaved
        self.frequencies = FixedNumbers(falling_frequencies("Rotary2d", width // 2, base))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Turn queries or keys.

        Args:
            x: (B, H, N, D).
            positions: (N, 2) or (B, N, 2), a row and a column each; see `grid_positions`.

        Returns:
            (B, H, N, D) in the data type of `x`.

        Raises:
            ShapeError: they do not fit together.
        """
        check_turned("Rotary2d", x, self.width, positions, coordinates=(2,))
        angles = _angles(positions, self.frequencies).flatten(-2)  # (N, D/2) or (B, N, D/2)
        angles = (angles.unsqueeze(1) if positions.ndim == 3 else angles).to(compute_dtype(x.dtype))
        return turn(x, angles.cos(), angles.sin(), self.interleaved).to(x.dtype)

    def extra_repr(self) -> str:
        """Return the numbers, for people."""
        return f"width={self.width}, base={self.base:g}, interleaved={self.interleaved}"


def _angles(positions: Tensor, frequencies: FixedNumbers) -> Tensor:
    """Return the angles (..., 2, d) of coordinates (..., 2) at d frequencies."""
    rates: Tensor = frequencies(positions.device)
    return positions.unsqueeze(-1).to(rates.dtype) * rates


def _check_width(name: str, width: int) -> None:
    if width < 4 or width % 4:
        raise LayerError(f"{name}: expected a width that is a multiple of 4; got {width!r}")
