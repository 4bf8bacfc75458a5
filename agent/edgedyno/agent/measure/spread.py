"""The mean of a series that may be correlated with itself, and the half-width of its 95 % interval.

As many values count as their correlation with their neighbours leaves: an autoregressive process of second order is
fitted (Yule and Walker), because a meter that averages answers smoothly to noise that is itself correlated. Batch means
(Schmeiser 1982) take over where they see much more: a series that wanders or has two states for long. Pure Python, so
that the sensors' side needs no numpy.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# 10 to 30 batches do (Schmeiser 1982, "Batch size effects in the analysis of simulation output"); with 30
# updates, which is the least that gives a number, 10 batches have three each.
MAX_BATCHES = 10
MIN_PER_BATCH = 2
# Batch means of ten are within this of the other estimate in 19 of 20 white series.
MUCH_MORE = 1.5
MIN_FOR_SECOND_ORDER = 20
MOST_CORRELATION = 0.98
# Of the independent values, where how many they are is itself an estimate: found by simulation, series of 15 to 600
# values, correlations from 0 to 0.9 (coverage 93 to 97 % from 50 values on; less of the shortest, most correlated).
FREEDOM_SHARE = 0.33
# Two-sided 95 % quantiles of Student's t by degrees of freedom.
_T95 = (math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
_Z95 = 1.96
# t - z is about this over the degrees of freedom beyond the table (2.228 at 10, 2.042 at 30).
_T_EXCESS = 2.7


def mean_with_spread(
    values: Sequence[float], *, weights: Sequence[float] | None = None
) -> tuple[float, float]:
    """Return the weighted mean and the half-width of its 95 % interval.

    The half-width is infinite for fewer than four values: nothing is known about their spread.
    """
    shares = list(weights) if weights is not None else [1.0] * len(values)
    mean = _mean(values, shares)
    if len(values) < 2 * MIN_PER_BATCH:
        return mean, math.inf
    by_batches, by_correlation = _by_batches(values, shares), _by_correlation(values)
    return mean, by_batches if by_batches > MUCH_MORE * by_correlation else by_correlation


def _by_batches(values: Sequence[float], shares: list[float]) -> float:
    batches = min(MAX_BATCHES, len(values) // MIN_PER_BATCH)
    edges = [index * len(values) // batches for index in range(batches + 1)]
    means = [_mean(values[a:b], shares[a:b]) for a, b in pairwise(edges)]
    centre = math.fsum(means) / batches
    variance = math.fsum((each - centre) ** 2 for each in means) / (batches - 1)
    return _student(batches - 1) * math.sqrt(variance / batches)


def _by_correlation(values: Sequence[float]) -> float:
    count = len(values)
    centre = math.fsum(values) / count
    away = [value - centre for value in values]
    total = math.fsum(each * each for each in away)
    if total <= 0:
        return 0.0
    worth = max(1.0, _values_per_independent_one(away, total))
    independent = max(2.0, count / worth)
    variance = total / count * independent / (independent - 1)
    freedom = independent - 1 if worth == 1 else FREEDOM_SHARE * independent
    return _student(freedom) * math.sqrt(variance / independent)


def _values_per_independent_one(away: list[float], total: float) -> float:
    """Return by how much correlation raises the variance of the mean, for the process that fits."""
    count = len(away)
    # Too low by about this, because the mean was taken from the same values (Kendall 1954, "Note on bias").
    plain = [math.fsum(away[i] * away[i + lag] for i in range(count - lag)) / total for lag in (1, 2)]
    one, two = (min(MOST_CORRELATION, each + (1 + 3 * max(each, 0.0)) / count) for each in plain)
    if count < MIN_FOR_SECOND_ORDER:
        return (1 + one) / (1 - one)
    first, second = one * (1 - two) / (1 - one * one), (two - one * one) / (1 - one * one)
    rest = 1 - first - second
    if rest <= 1 - MOST_CORRELATION or second <= -MOST_CORRELATION:
        return (1 + one) / (1 - one)
    return (1 + second) * (1 - second + first) / ((1 - second) * rest)


def _student(freedom: float) -> float:
    whole = max(1, int(freedom))
    return _T95[whole] if whole < len(_T95) else _Z95 + _T_EXCESS / freedom


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    total = math.fsum(weights)
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / total
