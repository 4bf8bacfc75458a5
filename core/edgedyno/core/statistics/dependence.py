"""How sure the mean of an autocorrelated series is: its long-run variance and Student quantiles.

Latencies drift within seconds, so the textbook error of a mean is several times too small. Two estimates of
the long-run variance are made, and the one that gives the wider interval counts: either alone undercovers
somewhere (autoregression where slow drift hides under noise, batch means where batches are few).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_BATCHES = 10  # Schmeiser 1982: more than 30 batches gain little, fewer than 10 cost much
_MAX_BATCH_CORRELATION = 0.8  # beyond it the correction below says nothing useful


class MeanError(NamedTuple):
    """Standard error of a series' mean, and the degrees of freedom that it was estimated with."""

    standard_error: float
    degrees: float

    def half_width(self, alpha: float) -> float:
        """Return the half-width of the two-sided interval that misses with probability `alpha`."""
        return student_quantile(1 - alpha / 2, self.degrees) * self.standard_error


def mean_error(series: NDArray[np.float64]) -> MeanError:
    """Return the error of the mean of `series`, taken at equal distances, under autocorrelation."""
    if len(series) < 2 or float(np.ptp(series)) == 0.0:  # noqa: PLR2004 - a variance needs two values
        return MeanError(0.0, max(1.0, len(series) - 1.0))
    estimates = (_autoregressive(series), _batch_means(series))
    return max(estimates, key=lambda error: error.half_width(0.05))


def _autocovariances(series: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    centred = series - series.mean()
    n = len(centred)
    return np.array([float(centred[lag:] @ centred[: n - lag]) / n for lag in range(lags + 1)])


def _autoregressive(series: NDArray[np.float64]) -> MeanError:
    """Take the spectral density at zero of the AR(p) model that AICc picks.

    Heidelberger and Welch 1981; p by Hurvich and Tsai 1989; the sum of coefficients is corrected for its bias
    towards zero as Kendall 1954 does for p = 1.
    """
    n = len(series)
    variance = float(series.var(ddof=1))
    max_order = max(1, min(int(10 * math.log10(n)), n // 4))
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
    coefficients = np.zeros(0)
    for order in range(1, len(covariances)):
        past = float(coefficients @ covariances[1:order][::-1]) if order > 1 else 0.0
        reflection = (float(covariances[order]) - past) / noise
        coefficients = np.append(coefficients - reflection * coefficients[::-1], reflection)
        noise *= 1 - reflection**2
        if noise <= 0.0 or n - order - 2 <= 0:
            break
        score = n * math.log(noise) + 2 * order * n / (n - order - 2)
        if score < best_score:
            best_score, best = score, (order, float(coefficients.sum()), noise)
    return best


def _batch_means(series: NDArray[np.float64]) -> MeanError:
    """Take the variance of the means of consecutive batches (Conway 1963; Schmeiser 1982).

    The batch length grows with the series' own lag-1 autocorrelation, and what correlation is left between
    batches widens the interval as that of an AR(1) series would.
    """
    n = len(series)
    lag1 = _lag1(series)
    length = 1
    if lag1 > 2 / math.sqrt(n):
        length = max(1, min(n // MIN_BATCHES, round(3 * ((1 + lag1) / (1 - lag1) - 1))))
    count = n // length
    means = series[n - count * length :].reshape(count, length).mean(axis=1)
    left = 0.0
    if length > 1:
        left = min(max(0.0, _lag1(means) + 1.0 / count), _MAX_BATCH_CORRELATION)
    inflation = (1 + left) / (1 - left)
    variance = float(means.var(ddof=1)) * inflation / count
    return MeanError(math.sqrt(variance), max(2.0, (count - 1) / inflation))


def _lag1(series: NDArray[np.float64]) -> float:
    variance, covariance = _autocovariances(series, 1)
    return min(0.99, max(0.0, float(covariance / variance))) if variance > 0 else 0.0


def student_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of Student's distribution for probability > 0.5 (Hill 1970, Algorithm 396)."""
    if degrees <= 1.0:
        return math.tan(math.pi * (probability - 0.5))
    tail = 2 * (1 - probability)
    if degrees <= 2.0:  # noqa: PLR2004 - closed form
        return math.sqrt(2 / (tail * (2 - tail)) - 2)
    a = 1 / (degrees - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * degrees
    y = (d * tail) ** (2 / degrees)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tail / 2)
        y = x**2
        if degrees < 5:  # noqa: PLR2004 - from the algorithm
            c += 0.3 * (degrees - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y**2)
    else:
        low = (degrees + 6) / (degrees * y) - 0.089 * d - 0.822
        y = ((1 / (low * (degrees + 2) * 3) + 0.5 / (degrees + 4)) * y - 1) * (degrees + 1) / (
            degrees + 2
        ) + 1 / y
    return math.sqrt(degrees * y)
