"""The median of grouped, autocorrelated samples with an interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.statistics.dependence import (
    MeanError,
    cosine_count,
    cosine_errors,
    mean_error,
)
from edgedyno.core.statistics.groups import Groups, flatten
from edgedyno.core.statistics.steadiness import series_steadiness
from edgedyno.core.student import student_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MIN_GROUPS = 8  # with fewer there is no telling how strongly neighbours hang together
_LEVELS = 8  # candidates on either side of the median
_REACH = 1.6  # how far they go, relative to the half-width at the estimate
_STEPS = np.arange(-_LEVELS, _LEVELS + 1) / _LEVELS


class Interval(NamedTuple):
    """An estimate with its interval."""

    value: float
    low: float
    high: float
    effective_groups: float = math.inf
    """How many independent groups would tell as much."""

    @property
    def relative_half_width(self) -> float:
        """Half the interval's width as a ratio of the estimate."""
        return (self.high - self.low) / 2 / self.value

    def widened(self, half_width: float) -> Interval:
        """Return the interval with an independent error added, on the scale of logarithms; for positive values."""
        below = math.hypot(math.log(self.value / self.low), half_width)
        above = math.hypot(math.log(self.high / self.value), half_width)
        return self._replace(low=self.value * math.exp(-below), high=self.value * math.exp(above))


def median_interval(groups: Sequence[Sequence[float]] | Groups, *, alpha: float = 0.05) -> Interval | None:
    """Return the median of all samples with its 1 - alpha interval; None below MIN_GROUPS groups.

    `groups` are bursts in the order of time (or single samples). The interval holds every value of which it
    cannot be excluded that half of all samples fall below it (Woodruff 1952; the test is made at the
    candidate as well as at the estimate, as the samples may sit in one clock state by chance), with an error
    of that share that holds under autocorrelation. No density is estimated, so heavy tails do no harm. Where
    the level changed too few times to know how often it does, the interval spans both levels.
    """
    flat = flatten(groups)
    if len(flat.counts) < MIN_GROUPS:
        return None
    rows = flat.merged()
    ordered = np.sort(flat.values)
    middle = rows.shares_below(np.array([_middle(ordered)]))[:, 0]
    cosines = cosine_count(len(flat.counts))
    error = mean_error(middle, cosines=cosines)
    low, high = _ends(rows, ordered, alpha, cosines, error.half_width(alpha))
    levels = series_steadiness(rows.medians()).levels
    if levels:
        low, high = min(low, *levels), max(high, *levels)
    return Interval(_middle(ordered), low, high, _effective(middle, error))


def _middle(ordered: NDArray[np.float64]) -> float:
    n = len(ordered)
    return float(ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def _effective(series: NDArray[np.float64], error: MeanError) -> float:
    variance = error.standard_error**2
    return float(series.var()) / variance if variance > 0 else math.inf


def _ends(
    rows: Groups, ordered: NDArray[np.float64], alpha: float, cosines: int, least: float
) -> tuple[float, float]:
    """Return the outermost candidates that cannot be excluded; shares within `least` of one half cannot."""
    n = len(ordered)
    reach = min(0.5, _REACH * least)
    away = reach * _STEPS
    candidates = ordered[((0.5 + away) * (n - 1)).astype(np.intp)]
    errors, degrees = cosine_errors(rows.shares_below(candidates), cosines)
    allowed = np.maximum(least, student_quantile(1 - alpha / 2, degrees) * errors)
    kept = np.flatnonzero(np.abs(away) <= allowed)
    below_half = _edge(away[::-1], allowed[::-1], 2 * _LEVELS - int(kept[0]))
    above_half = _edge(away, allowed, int(kept[-1]))
    return (
        float(ordered[max(0, math.floor(n * (0.5 - below_half)))]),
        float(ordered[min(n - 1, math.ceil(n * (0.5 + above_half)))]),
    )


def _edge(away: NDArray[np.float64], allowed: NDArray[np.float64], outermost: int) -> float:
    """Return how far from one half the interval reaches; it ends before the next candidate, which is excluded."""
    if outermost + 1 == len(away):
        return float(allowed[outermost])
    return float(min(allowed[outermost], abs(away[outermost + 1])))
