"""Means over documents and how sure they are, from exact totals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from regard.watch.student import quantile, two_sided
from regard.watch.survey.integers import FRACTION_BITS

CONFIDENCE = 0.95

_UNIT = 2.0**-FRACTION_BITS


@dataclass(frozen=True)
class Estimate:
    """A mean over documents; what cannot be told from so few is None.

    Attributes:
        documents: over how many.
        mean: their mean.
        error: its standard error.
        low, high: the 95 % interval, by Student's t.
        p: how probable a mean at least as far from 0 is if the true one is 0, for differences; else None.
    """

    documents: int
    mean: float | None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def estimate(documents: int, total: int, squares: int) -> Estimate:
    """Return the mean of numbers: how many there are, their sum (2^-32) and the sum of their squares (2^-64)."""
    if documents < 2:
        return Estimate(documents, total * _UNIT if documents else None)
    variance = (documents * squares - total * total) / (documents * (documents - 1))
    error = math.sqrt(variance / documents) * _UNIT
    return _interval(documents, total / documents * _UNIT, error, documents - 1)


def paired(counts: Sequence[int], one: Sequence[int], other: Sequence[int]) -> Estimate:
    """Return the mean of one - other over the same documents, from totals of the same blocks of documents.

    The variance between blocks tells that of the mean; with one document a block, this is the paired t test.

    Args:
        counts: documents in each block.
        one: sums over each block, in steps of 2^-32.
        other: those to subtract.

    Source: Wolter, Introduction to Variance Estimation (2007), chapter 2, for a ratio of totals of random groups.
    """
    blocks = [(count, a - b) for count, a, b in zip(counts, one, other, strict=True) if count]
    documents, total = sum(count for count, _ in blocks), sum(difference for _, difference in blocks)
    if len(blocks) < 2:
        return Estimate(documents, total / documents * _UNIT if documents else None)
    squares = sum((documents * difference - count * total) ** 2 for count, difference in blocks)
    variance = len(blocks) * squares / ((len(blocks) - 1) * documents**4)
    return _interval(documents, total / documents * _UNIT, math.sqrt(variance) * _UNIT, len(blocks) - 1, test=True)


def unpaired(one: Estimate, other: Estimate) -> Estimate:
    """Return the difference of two means over different documents.

    Source: Welch, The generalization of "Student's" problem (1947).
    """
    documents = min(one.documents, other.documents)
    if one.mean is None or other.mean is None:
        return Estimate(documents, None)
    if one.error is None or other.error is None:
        return Estimate(documents, one.mean - other.mean)
    a, b = one.error**2, other.error**2
    spread = a**2 / (one.documents - 1) + b**2 / (other.documents - 1)
    freedom = int((a + b) ** 2 / spread) if spread else documents - 1
    return _interval(documents, one.mean - other.mean, math.sqrt(a + b), max(1, freedom), test=True)


def false_discovery(p: Sequence[float]) -> list[float]:
    """Return p values adjusted so that those below q hold at most a share q of false findings, on average.

    Source: Benjamini and Hochberg, Controlling the False Discovery Rate (1995).
    """
    order = sorted(range(len(p)), key=lambda i: p[i], reverse=True)
    adjusted, least = [1.0] * len(p), 1.0
    for rank, i in zip(range(len(p), 0, -1), order, strict=True):
        least = min(least, p[i] * len(p) / rank)
        adjusted[i] = least
    return adjusted


def _interval(documents: int, mean: float, error: float, freedom: int, *, test: bool = False) -> Estimate:
    half = quantile(CONFIDENCE, freedom) * error
    if not test:
        return Estimate(documents, mean, error, mean - half, mean + half)
    t = mean / error if error else math.inf if mean else 0.0
    return Estimate(documents, mean, error, mean - half, mean + half, two_sided(t, freedom))
