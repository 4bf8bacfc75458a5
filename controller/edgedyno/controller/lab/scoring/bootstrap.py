"""Intervals by resampling images: each resample is a row that says how often each image was drawn."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 1000
CONFIDENCE = 0.95
# Any fixed number: the same results must give the same interval every time.
_SEED = 20240229
# Enough for the acceleration, few enough for thousands of images.
_MAX_GROUPS = 200
# Fewer draws than that say nothing of a spread.
MIN_IMAGES = 5


def counts_of(images: int) -> NDArray[np.int32] | None:
    """Return how often each image (a row) counts in each resample and then in each part of the jackknife.

    None where images are too few to tell a spread.
    """
    if images < MIN_IMAGES:
        return None
    columns = np.concatenate([draw_weights(images), leave_out(images)])
    return np.ascontiguousarray(columns.T, dtype=np.int32)


def draw_weights(images: int, *, resamples: int = RESAMPLES) -> Floats:
    """Return a row per resample and a column per image; each row adds up to the number of images."""
    generator = np.random.default_rng(_SEED)
    return generator.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def leave_out(images: int) -> Floats:
    """Return the jackknife's weights: each row leaves one image out, or one group when there are many."""
    groups = min(images, _MAX_GROUPS)
    member = np.arange(images) % groups
    return np.asarray(member[None, :] != np.arange(groups)[:, None], dtype=np.float64)


def interval(estimate: float, resampled: Floats, jackknifed: Floats) -> tuple[float, float] | None:
    """Return the bias-corrected and accelerated interval (BCa; Efron 1987, JASA 82:171) of an estimate.

    mAP grows when images are drawn twice, so the percentile interval lies too high; it is used only where
    all resamples lie on one side of the estimate. None when they do not vary: they tell nothing then.
    """
    values = np.sort(resampled[np.isfinite(resampled)])
    if not values.size or values[0] == values[-1]:
        return None
    below = float(np.mean(values < estimate) + np.mean(values <= estimate)) / 2
    levels = _levels(below, _acceleration(jackknifed[np.isfinite(jackknifed)]))
    low, high = (float(np.quantile(values, level)) for level in levels)
    return min(low, estimate), max(high, estimate)


def _levels(below: float, acceleration: float) -> tuple[float, float]:
    """Return the quantiles to read, from the share of resamples below the estimate."""
    tails = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
    if not 0 < below < 1:
        return tails
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    shifted = [bias + normal.inv_cdf(tail) for tail in tails]
    low, high = (normal.cdf(bias + shift / (1 - acceleration * shift)) for shift in shifted)
    return low, high


def _acceleration(jackknifed: Floats) -> float:
    deviations = jackknifed.mean() - jackknifed
    spread = float((deviations**2).sum()) ** 1.5
    return float((deviations**3).sum()) / (6 * spread) if spread else 0.0
