"""A mean with its 95 % interval by Student's t."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, stdev

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean of repeated measurements between 0 and 1.

    Attributes:
        mean: their mean.
        low, high: the 95 % interval of the mean, within 0 and 1; NaN for a single measurement.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """Return mean ± t s / sqrt(n), with t of n - 1 degrees of freedom."""
        mean = fmean(values)
        if len(values) < 2:
            return cls(mean, math.nan, math.nan)
        half = _student_t(len(values) - 1) * stdev(values) / math.sqrt(len(values))
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half))

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if math.isnan(self.low) else f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


@lru_cache
def _student_t(freedom: int) -> float:
    """Return the t that Student's distribution stays within, to either side, with the confidence."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _within(angle, freedom) < _CONFIDENCE else (low, angle)
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Return P(|t| <= tan(angle) sqrt(freedom)).

    Source: Abramowitz and Stegun 1964, 26.7.3 (odd degrees of freedom) and 26.7.4 (even).
    """
    odd = freedom % 2
    term = math.sin(angle) * (math.cos(angle) if odd else 1.0)
    total = 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (k - 1) / k
    return 2 / math.pi * (angle + total) if odd else total
