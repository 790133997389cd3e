"""Student's t distribution, of which intervals and tests over documents are made."""

import math

_TINY = 1e-300


def two_sided(t: float, freedom: int) -> float:
    """Return the probability that |T| exceeds |t| with `freedom` degrees of freedom, which is at least 1."""
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) if math.isfinite(t) else 0.0


def quantile(confidence: float, freedom: int) -> float:
    """Return the t that |T| exceeds with probability 1 - confidence."""
    low, high = 0.0, 1.0
    while two_sided(high, freedom) > 1 - confidence:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > 1 - confidence else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function.

    Source: NIST Digital Library of Mathematical Functions, 8.17.4 and the continued fraction 8.17.22.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / a * _fraction(a, b, x)


def _fraction(a: float, b: float, x: float) -> float:
    """Return 1 / (1 + d1 / (1 + d2 / (1 + ...))) by Lentz's method as Thompson and Barnett (1986) changed it."""
    value, upper, lower = _TINY, _TINY, 0.0
    part = 1.0
    for step in range(1000):
        if step:
            m, odd = divmod(step, 2)
            part = (
                -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
                if odd
                else m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            )
        lower = 1 / _away(1 + part * lower)
        upper = _away(1 + part / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return value


def _away(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
