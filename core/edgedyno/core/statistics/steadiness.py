"""Whether a series kept to one level: change points, drift, and slow changes between two levels.

What is not stationary has no honest interval of "the" median. By simulation (benchmarks/coverage.py) the
interval of `median` holds for wandering of every kind, as long as enough of it was seen; it fails only where
the level changed a few times between two states. So three things are looked for: a step, by a test that needs
no estimate of the long-run variance, a drift, and few changes between two levels. Where one is found the
interval is widened over both levels; a step, a drift or one visit to another level of SHIFT_BOUND or more makes
the result void.

Own code: ruptures (with scipy) finds where changes are but has no test of whether there are any, and the tests
of statsmodels need a long-run variance, which a shift inflates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from edgedyno.core.statistics.dependence import cosine_weights
from edgedyno.core.statistics.groups import flatten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.core.statistics.groups import Groups

# Machines wander by some 10 % within seconds, and ratios cancel that (docs/method.md); a level that shifts by
# more is another state of the machine, and its median says nothing about the next run.
SHIFT_BOUND = 0.10
MIN_GROUPS = 20  # with fewer the tests below have hardly any power

# Shao and Zhang's 1 % point, and more for short series, where AR(0.9) is not yet far from a random walk: with
# these at most 5 % of such series of 60 values and more are called shifted, and 1 % of independent ones.
_CUSUM_CRITICAL, _CUSUM_SHORT = 68.6, 140.0
_TREND_COSINES = 8
_TREND_CRITICAL, _TREND_SHORT = 3.0, 170.0  # likewise; Student's 1 % point on 7 degrees is 3.5
_CLIP = 3.0  # robust standard deviations: a single disturbance is no shift
_MAD_TO_SIGMA = 1.4826
# Means of two levels over the deviation within them: a normal distribution split in the middle has 2.65.
_SEPARATION, _SEPARATION_SHORT = 3.7, 80.0
_MIN_SHARE, _MIN_ROWS = 0.05, 4  # of the rows in the rarer level
# With up to six changes (three visits to each level) the share of time in either is anybody's guess, and the
# interval of the median covers 88 % (of 95 %); with ten it covers.
_FEW_CHANGES = 6
_SHIFT_CHANGES = 2  # a step, or one visit to another level


class Steadiness(Struct, frozen=True):
    """Whether the level of a series changed, and how."""

    shifted: bool
    """A step, a drift, or one visit to another level; False for several changes between two levels."""
    where: float | None = None
    """At which share of the series (0 to 1) the first change was; None: no change."""
    size: float = 0.0
    """Later level over earlier one, or slow state over fast, less one: 0.1 is 10 %."""
    levels: tuple[float, float] | None = None
    """Medians of the level before and after, or of fast and slow state, in the unit of the series."""
    reason: str | None = None

    @property
    def is_void(self) -> bool:
        """Whether the change is too large for the median to mean anything."""
        return self.shifted and abs(self.size) >= SHIFT_BOUND


def steadiness_of(groups: Sequence[Sequence[float]] | Groups) -> Steadiness:
    """Judge the medians of `groups`, which are bursts in the order of time."""
    return series_steadiness(flatten(groups).merged().medians())


def steadiness_reasons(groups: Sequence[Sequence[float]]) -> list[str]:
    """Return why the median of `groups` is void; empty when it is not."""
    found = steadiness_of(groups)
    return [found.reason] if found.is_void and found.reason else []


def series_steadiness(series: NDArray[np.float64]) -> Steadiness:
    """Judge a series of positive values at about equal distances in time."""
    if len(series) < MIN_GROUPS or float(np.ptp(series)) == 0.0:
        return Steadiness(shifted=False)
    return _two_levels(series) or _one_shift(series) or _drift(series) or Steadiness(shifted=False)


def _one_shift(series: NDArray[np.float64]) -> Steadiness | None:
    statistic, at = cusum(_clipped(series))
    if statistic < _CUSUM_CRITICAL * (1 + _CUSUM_SHORT / len(series)):
        return None
    before, after = float(np.median(series[:at])), float(np.median(series[at:]))
    size = after / before - 1
    where = at / len(series)
    reason = f"latency shifted by {size:+.0%} after {where:.0%} of the bursts (bound {SHIFT_BOUND:.0%})"
    return Steadiness(shifted=True, where=where, size=size, levels=(before, after), reason=reason)


def _clipped(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Limit the pull of outliers: a single disturbance is no shift."""
    centre = float(np.median(series))
    scale = _MAD_TO_SIGMA * float(np.median(np.abs(series - centre)))
    if scale == 0.0:
        return series
    return np.clip(series, centre - _CLIP * scale, centre + _CLIP * scale)


def cusum(series: NDArray[np.float64]) -> tuple[float, int]:
    """Return the self-normalised CUSUM statistic and the index of the likeliest change.

    Shao and Zhang 2010, "Testing for change points in time series": the sum of deviations from the mean up to
    each point, relative to how such sums wander on either side of it.
    """
    n = len(series)
    centred = series - series.mean()
    forward = np.cumsum(centred)
    backward = np.cumsum(centred[::-1])
    index = np.arange(1, n)
    inner = (_wander(forward)[:-1] + _wander(backward)[:-1][::-1]) / n**2
    statistics = forward[:-1] ** 2 / n / np.maximum(inner, np.finfo(float).tiny)
    edge = max(2, n // 20)
    best = edge + int(np.argmax(statistics[edge:-edge]))
    return float(statistics[best]), int(index[best])


def _wander(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each k the sum over t <= k of (S_t - t / k * S_k) squared."""
    steps = np.arange(1, len(sums) + 1, dtype=np.float64)
    slope = sums / steps
    return np.maximum(
        0.0, np.cumsum(sums**2) - 2 * slope * np.cumsum(steps * sums) + slope**2 * np.cumsum(steps**2)
    )


def _two_levels(series: NDArray[np.float64]) -> Steadiness | None:
    """Split the smoothed series in two levels where they are clearly apart, and count the changes."""
    smooth = _median_of_three(series)
    split = _split(smooth)
    if split is None:
        return None
    fast, slow = float(np.median(smooth[smooth <= split])), float(np.median(smooth[smooth > split]))
    third = (slow - fast) / 3
    clear = np.flatnonzero((smooth < fast + third) | (smooth > slow - third))
    is_slow = smooth[clear] > split
    changes = np.flatnonzero(is_slow[1:] != is_slow[:-1])
    if not 1 <= len(changes) <= _FEW_CHANGES:
        return None
    where = (int(clear[changes[0] + 1]) + 1) / len(series)
    size = slow / fast - 1
    times = "once" if len(changes) == 1 else f"only {len(changes)} times"
    reason = f"latency changed {times} between two levels {size:.0%} apart (bound {SHIFT_BOUND:.0%})"
    shifted = len(changes) <= _SHIFT_CHANGES
    return Steadiness(shifted=shifted, where=where, size=size, levels=(fast, slow), reason=reason)


def _median_of_three(series: NDArray[np.float64]) -> NDArray[np.float64]:
    left, middle, right = series[:-2], series[1:-1], series[2:]
    return np.maximum(np.minimum(left, middle), np.minimum(np.maximum(left, middle), right))


def _split(series: NDArray[np.float64]) -> float | None:
    """Return the limit that leaves the least variance on its two sides (Otsu 1979); None without a clear gap."""
    ordered = np.sort(series - series.min())
    n = len(ordered)
    count = np.arange(1, n)
    sums = np.cumsum(ordered)
    gaps = (sums[-1] - sums[:-1]) / (n - count) - sums[:-1] / count
    between = count * (n - count) / n**2 * gaps**2
    edge = max(_MIN_ROWS, round(_MIN_SHARE * n))
    at = edge - 1 + int(np.argmax(between[edge - 1 : n - edge]))
    within = max(0.0, float(ordered.var()) - float(between[at]))
    if gaps[at] <= (_SEPARATION + _SEPARATION_SHORT / n) * np.sqrt(within):
        return None
    return float(ordered[at] + ordered[at + 1]) / 2 + float(series.min())


def _drift(series: NDArray[np.float64]) -> Steadiness | None:
    """Test whether the slowest cosine outweighs the next ones, as it does under a steady drift.

    Under stationarity their weights are independent and equally large (Mueller and Watson 2008), so the first
    over the others' root mean square follows Student's t.
    """
    weights = cosine_weights(_clipped(series)[:, None], _TREND_COSINES)[:, 0]
    others = float(np.sqrt(np.mean(weights[1:] ** 2)))
    if abs(float(weights[0])) <= (_TREND_CRITICAL + _TREND_SHORT / len(series)) * others:
        return None
    quarter = len(series) // 4
    before, after = float(np.median(series[:quarter])), float(np.median(series[-quarter:]))
    size = after / before - 1
    reason = f"latency drifted by {size:+.0%} from the first to the last quarter (bound {SHIFT_BOUND:.0%})"
    return Steadiness(shifted=True, where=0.0, size=size, levels=(before, after), reason=reason)
