"""How sure the mean of an autocorrelated series is: its long-run variance and Student quantiles.

Latencies drift within seconds, so the textbook error of a mean is several times too small. Two estimates of
the long-run variance are made, and the one that gives the wider interval counts: either alone undercovers
somewhere (autoregression where slow drift hides under noise, few cosines where the series is short).
`python benchmarks/coverage.py` shows what they reach. Own code: the runner has numpy only, and statsmodels
(with scipy, pandas and patsy behind it) offers Newey-West and autoregression, which both undercover here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.student import student_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Number of cosines by length. Few cosines see only the slowest changes, which is what makes an interval hold
# when a slow drift hides under noise, and cost width (Student's t on so few degrees). By simulation: with one
# step more, AR(0.9) under as much white noise falls below 93 % at these lengths (benchmarks/coverage.py).
_COSINES = ((80, 3), (150, 4), (400, 5))
_MOST_COSINES = 6
# At a tiny error (one look of a race, one of many comparisons) Student's t on three to six degrees asks for ten
# standard errors and more, and nothing would ever be told apart. More cosines have more degrees, and the bias that
# they bring under hidden drift is small beside a quantile that far out.
FAR_ALPHA = 0.01
_TYPICAL_FAR_ALPHA = 1e-4
_FAR_FACTOR = 4
_PATIENCE = 6  # orders that do not improve the autoregressive model, after which no more are tried


class MeanError(NamedTuple):
    """Standard error of a series' mean, and the degrees of freedom that it was estimated with."""

    standard_error: float
    degrees: float
    far: MeanError | None = None
    """A better estimate for errors below FAR_ALPHA."""

    def half_width(self, alpha: float) -> float:
        """Return the half-width of the two-sided interval that misses with probability `alpha`."""
        if self.far is not None and alpha < FAR_ALPHA:
            near = student_quantile(1 - FAR_ALPHA / 2, self.degrees) * self.standard_error
            return max(near, self.far.half_width(alpha))
        return student_quantile(1 - alpha / 2, self.degrees) * self.standard_error


def mean_error(series: NDArray[np.float64], *, cosines: int | None = None) -> MeanError:
    """Return the error of the mean of `series`, taken at equal distances, under autocorrelation."""
    if len(series) < 2 or float(np.ptp(series)) == 0.0:  # noqa: PLR2004 - a variance needs two values
        return MeanError(0.0, max(1.0, len(series) - 1.0))
    count = cosines or cosine_count(len(series))
    weights = cosine_weights(series[:, None], _FAR_FACTOR * count)[:, 0]
    parametric = autoregressive_error(series)
    near, far = (_of_weights(weights[:most], len(series)) for most in (count, len(weights)))
    best = max(parametric, near, key=lambda error: error.half_width(0.05))
    return best._replace(far=max(parametric, far, key=lambda error: error.half_width(_TYPICAL_FAR_ALPHA)))


def _of_weights(weights: NDArray[np.float64], length: int) -> MeanError:
    return MeanError(math.sqrt(float(np.mean(weights**2)) / length), float(len(weights)))


def cosine_count(length: int) -> int:
    """Return how many cosines to use for a series of `length` values, however they are batched."""
    return next((count for below, count in _COSINES if length < below), _MOST_COSINES)


def cosine_errors(columns: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], float]:
    """Return the standard error of each column's mean, and their degrees of freedom.

    The equal-weighted cosine estimate of Mueller 2007 ("A theory of robust long-run variance estimation"),
    recommended by Lazarus, Lewis, Stock and Watson 2018: the weights on the slowest cosines are as good as
    independent values of the long-run variance, and give Student's t with as many degrees of freedom.
    """
    weights = cosine_weights(columns, count)
    return np.sqrt(np.mean(weights**2, axis=0) / len(columns)), float(len(weights))


def cosine_weights(columns: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return how much of each of the slowest cosines is in each column; rows go from slow to fast."""
    n = len(columns)
    return _cosines(n, max(1, min(count, n - 1))) @ columns


@lru_cache(maxsize=64)
def _cosines(n: int, count: int) -> NDArray[np.float64]:
    order = np.arange(1, count + 1)
    return np.cos(np.pi * np.outer(order, (np.arange(n) + 0.5) / n)) * math.sqrt(2 / n)


def _autocovariances(series: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    centred = series - series.mean()
    n = len(centred)
    return np.array([float(centred[lag:] @ centred[: n - lag]) / n for lag in range(lags + 1)])


def autoregressive_error(series: NDArray[np.float64]) -> MeanError:
    """Take the spectral density at zero of the AR(p) model that AICc picks.

    Heidelberger and Welch 1981; p by Hurvich and Tsai 1989; the sum of coefficients is corrected for its bias
    towards zero as Kendall 1954 does for p = 1.
    """
    n = len(series)
    variance = float(series.var(ddof=1))
    if variance == 0.0:
        return MeanError(0.0, n - 1.0)
    max_order = max(1, min(int(6 * math.log10(n)), n // 4))
    covariances = _autocovariances(series, max_order)
    order, coefficient_sum, noise = _best_order(covariances, n)
    if order == 0:
        return MeanError(math.sqrt(variance / n), n - 1.0)
    coefficient_sum = min(coefficient_sum + (1 + 3 * coefficient_sum) / n, 1 - 1.0 / n)
    long_run = noise * n / (n - order - 1) / (1 - coefficient_sum) ** 2
    effective = min(float(n), n * variance / long_run)
    return MeanError(math.sqrt(long_run / n), max(2.0, effective - 1))


def _best_order(covariances: NDArray[np.float64], n: int) -> tuple[int, float, float]:
    """Run Levinson's recursion; return order, sum of coefficients and noise variance of the best model."""
    noise = float(covariances[0])
    best = (0, 0.0, noise)
    best_score = n * math.log(noise)
    coefficients = np.zeros(len(covariances))
    for order in range(1, min(len(covariances), n - 2)):
        known = coefficients[: order - 1]
        reflection = (float(covariances[order]) - float(known @ covariances[order - 1 : 0 : -1])) / noise
        coefficients[: order - 1] = known - reflection * known[::-1]
        coefficients[order - 1] = reflection
        noise *= 1 - reflection**2
        if noise <= 0.0:
            break
        score = n * math.log(noise) + 2 * order * n / (n - order - 2)
        if score < best_score:
            best_score, best = score, (order, float(coefficients[:order].sum()), noise)
        elif order >= best[0] + _PATIENCE:
            break
    return best
