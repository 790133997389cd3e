"""Numbers as bytes for the page: weights as their square roots, statistics as shares of their largest."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

STEPS = 65535
# Weights of about 1 % and more get two bytes, others one.
FINE = 25
# How far one byte each may put off the sum of a row.
_MOST_OFF = 0.01
MOST_POINTS = 4096


def two_bytes(weights: Tensor) -> NDArray[np.uint16]:
    """Return 65535 times the square root of each weight, rounded."""
    return _roots(weights, STEPS).astype(np.uint16)


def one_byte(weights: Tensor) -> NDArray[np.uint8]:
    """Return 255 times the square root of each weight, rounded."""
    return _roots(weights, 255).astype(np.uint8)


def planes(weights: Tensor, fine: int) -> tuple[bytes, bytes, int]:
    """Return the upper bytes of weights, the lower bytes of those whose upper byte is at least `fine`, and `fine`.

    Small weights that are alike are all off in one direction. Where that puts off the sum of a row by more than a
    hundredth, every weight has its lower byte, and `fine` is 0.
    """
    codes = two_bytes(weights)
    upper, lower = (codes >> 8).astype(np.uint8), codes.astype(np.uint8)
    read = np.where(upper >= fine, codes, np.where(upper > 0, codes & 0xFF00 | 128, 0))
    off = (_squares(read) - _squares(codes)).sum(-1)
    if np.abs(off).max(initial=0.0) > _MOST_OFF:
        fine = 0
    return upper.tobytes(), lower[upper >= fine].tobytes(), fine


def thumbnails(weights: Tensor, side: int) -> NDArray[np.uint8]:
    """Return the largest weight in each of at most side x side cells, (heads, rows, columns), as one byte each."""
    codes = one_byte(weights)
    for axis in (1, 2):
        count = codes.shape[axis]
        if count > side:
            starts = -(-np.arange(side) * count // side)
            codes = np.maximum.reduceat(codes, starts, axis=axis)
    return codes


def points(values: Tensor, *, mean: bool) -> tuple[bytes, float, int]:
    """Return statistics (heads, N) at so many neighbouring positions a point that there are at most 4,096.

    Args:
        values: numbers from 0 on.
        mean: whether a point stands for the mean of its positions, or for their sum.

    Returns two bytes a point, how much one unit of these is worth, and how many positions a point stands for.
    """
    exact = values.detach().cpu().double().numpy()
    count = exact.shape[1]
    step = max(1, -(-count // MOST_POINTS))
    if step > 1:
        starts = np.arange(0, count, step)
        exact = np.add.reduceat(exact, starts, axis=1)
        exact = exact / np.diff(starts, append=count) if mean else exact
    unit = float(exact.max(initial=0.0)) / STEPS or 1.0
    return np.clip(np.rint(exact / unit), 0, STEPS).astype("<u2").tobytes(), unit, step


def _squares(codes: NDArray[np.uint16]) -> NDArray[np.float32]:
    return np.square(codes / np.float32(STEPS))


def _roots(weights: Tensor, steps: int) -> NDArray[np.float32]:
    exact = weights.detach().float().clamp(0, 1).sqrt_().mul_(steps).round_()
    return np.asarray(exact.cpu().numpy(), dtype=np.float32)
