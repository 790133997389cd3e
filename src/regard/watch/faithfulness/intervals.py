"""Intervals of 95 %: between random draws for one text, of a mean over several texts."""

import math

from torch import Tensor

# Fewer random draws cannot bound an interval of 95 %, fewer texts give no sensible one.
LEAST_DRAWS = 39
LEAST_TEXTS = 5
_NORMAL = 1.959963984540054  # the 97.5 % point of the normal distribution


def between_draws(draws: Tensor) -> tuple[float, float]:
    """Return two of the draws (n,) between which one more falls with a chance of at least 95 %.

    The chance is (upper - lower) / (n + 1) in ranks, since all ranks of one more draw are equally likely: exactly
    95 % for n = 39, 79, 119 and so on. Ties make it larger.
    """
    lower = int(len(draws) + 1) // 40
    ordered = draws.sort().values
    return float(ordered[lower - 1]), float(ordered[-lower])


def of_mean(values: Tensor) -> tuple[float, float]:
    """Return Student's interval of 95 % for the mean of values (n,), one for each text."""
    half = student(len(values) - 1) * float(values.std()) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean - half, mean + half


def student(degrees: int) -> float:
    """Return the 97.5 % point of Student's t distribution, to 0.001 from 4 degrees of freedom on.

    Source: Abramowitz & Stegun 1964, 26.7.5.
    """
    x, n = _NORMAL, degrees
    return (
        x
        + (x**3 + x) / (4 * n)
        + (5 * x**5 + 16 * x**3 + 3 * x) / (96 * n**2)
        + (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / (384 * n**3)
        + (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / (92160 * n**4)
    )
