"""What is asked of positions that are handed in."""

import torch
from torch import Tensor

from regard.errors import ShapeError


def check_positions(name: str, positions: Tensor) -> None:
    """Raise a ShapeError where positions are no numbers on a line."""
    if positions.dtype == torch.bool or positions.is_complex():
        raise ShapeError(f"{name}: expected positions as numbers; got {positions.dtype}")


def check_coordinates(name: str, positions: Tensor) -> None:
    """Raise a ShapeError where positions are no (row, column)."""
    check_positions(name, positions)
    if positions.ndim < 2 or positions.shape[-1] != 2:
        raise ShapeError(
            f"{name}: expected positions (N, 2) or (B, N, 2), a row and a column each; got {tuple(positions.shape)}"
        )


def check_turned(name: str, x: Tensor, width: int, positions: Tensor, coordinates: tuple[int, ...] = ()) -> None:
    """Raise a ShapeError where vectors of heads and their positions do not fit.

    Args:
        name: of the layer, for people.
        x: expected as (B, H, N, width).
        width: of a head.
        positions: expected as (N, *coordinates) or (B, N, *coordinates).
        coordinates: the axes of one position, none where it is a single number.
    """
    check_positions(name, positions)
    if x.ndim == 4 and x.shape[-1] == width:
        each = (x.shape[2], *coordinates)
        if positions.shape in (each, (1, *each), (x.shape[0], *each)):
            return
    last = "".join(f", {size}" for size in coordinates)
    raise ShapeError(
        f"{name}: expected x (B, H, N, {width}) and positions (N{last or ','}) or (B, N{last}); got x"
        f" {tuple(x.shape)} and positions {tuple(positions.shape)}"
    )
