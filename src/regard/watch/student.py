"""Student's t distribution, of which intervals and tests are made; scipy computes it."""

import math
from functools import cache
from typing import Any

from regard.errors import WatchError


def two_sided(t: float, freedom: int) -> float:
    """Return the probability that |T| exceeds |t| with `freedom` degrees of freedom, which is at least 1."""
    return float(2 * _special().stdtr(freedom, -abs(t))) if math.isfinite(t) else 0.0


@cache
def quantile(confidence: float, freedom: int) -> float:
    """Return the t that |T| exceeds with probability 1 - confidence."""
    return float(_special().stdtrit(freedom, (1 + confidence) / 2))


def _special() -> Any:
    """Return scipy's special functions.

    Raises:
        WatchError: scipy is missing.
    """
    try:
        import scipy.special
    except ImportError as error:
        raise WatchError("intervals need scipy; install it with: pip install 'regard[look]'") from error
    return scipy.special
