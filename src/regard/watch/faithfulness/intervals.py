"""Intervals of 95 %: between random draws for one text, of a mean over several texts."""

import math

from torch import Tensor

from regard.watch.student import quantile

# Fewer random draws cannot bound an interval of 95 %, fewer texts give no sensible one.
LEAST_DRAWS = 39
LEAST_TEXTS = 5


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
    half = quantile(0.95, len(values) - 1) * float(values.std()) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean - half, mean + half
