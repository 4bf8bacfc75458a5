"""The median of grouped, autocorrelated samples with an interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.statistics.dependence import mean_error

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_GROUPS = 8  # with fewer there is no telling how strongly neighbours hang together


class Interval(NamedTuple):
    """An estimate with its interval."""

    value: float
    low: float
    high: float

    @property
    def relative_half_width(self) -> float:
        """Half the interval's width as a ratio of the estimate."""
        return (self.high - self.low) / 2 / self.value


def median_interval(groups: Sequence[Sequence[float]], *, alpha: float = 0.05) -> Interval | None:
    """Return the median of all samples with its 1 - alpha interval; None below MIN_GROUPS groups.

    `groups` are bursts in the order of time (or single samples). Woodruff 1952: the share of samples below
    the median has an error, here one that holds under autocorrelation, and the order statistics at 0.5 plus
    and minus that error bound the median. No density is estimated, so several clock states or heavy tails
    do no harm.
    """
    filled = [np.asarray(group, dtype=np.float64) for group in groups if len(group)]
    if len(filled) < MIN_GROUPS:
        return None
    ordered = np.sort(np.concatenate(filled))
    median = float(np.median(ordered))
    below = np.array([float(np.mean(group <= median)) for group in filled])
    half_width = mean_error(below).half_width(alpha)
    n = len(ordered)
    low = max(0, math.floor(n * (0.5 - half_width)))
    high = min(n - 1, math.ceil(n * (0.5 + half_width)))
    return Interval(median, float(ordered[low]), float(ordered[high]))
