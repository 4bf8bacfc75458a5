"""The mean of a series that may be correlated with itself, and the half-width of its 95 % interval.

Batch means: neighbouring values are averaged in batches, which are nearly independent of each other;
Student's t on the batches gives the interval. Pure Python, so that the sensors' side needs no numpy.
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
# Two-sided 95 % quantiles of Student's t by degrees of freedom.
_T95 = (math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def mean_with_spread(
    values: Sequence[float], *, weights: Sequence[float] | None = None
) -> tuple[float, float]:
    """Return the weighted mean and the half-width of its 95 % interval.

    The half-width is infinite for fewer than four values: nothing is known about their spread.
    """
    shares = list(weights) if weights is not None else [1.0] * len(values)
    mean = _mean(values, shares)
    batches = min(MAX_BATCHES, len(values) // MIN_PER_BATCH)
    if batches < 2:  # noqa: PLR2004  (a spread needs two)
        return mean, math.inf
    edges = [index * len(values) // batches for index in range(batches + 1)]
    means = [_mean(values[a:b], shares[a:b]) for a, b in pairwise(edges)]
    centre = math.fsum(means) / batches
    variance = math.fsum((each - centre) ** 2 for each in means) / (batches - 1)
    return mean, _T95[batches - 1] * math.sqrt(variance / batches)


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    total = math.fsum(weights)
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / total
