"""A mean with its 95 % interval by Student's t."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from regard.watch.student import quantile


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
        half = quantile(0.95, len(values) - 1) * stdev(values) / math.sqrt(len(values))
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half))

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if math.isnan(self.low) else f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"
