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

    The plain percentile interval is off for mAP, which grows when images are drawn twice. None when the
    resamples do not vary or nearly all lie on one side of the estimate.
    """
    values = np.sort(resampled[np.isfinite(resampled)])
    below = (np.mean(values < estimate) + np.mean(values <= estimate)) / 2 if values.size else 0.0
    if not values.size or values[0] == values[-1] or not 0 < below < 1:
        return None
    normal = NormalDist()
    bias = normal.inv_cdf(float(below))
    acceleration = _acceleration(jackknifed[np.isfinite(jackknifed)])
    bounds = []
    for tail in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2):
        shifted = bias + normal.inv_cdf(tail)
        level = normal.cdf(bias + shifted / (1 - acceleration * shifted))
        bounds.append(float(np.quantile(values, level)))
    return min(bounds[0], estimate), max(bounds[1], estimate)


def _acceleration(jackknifed: Floats) -> float:
    deviations = jackknifed.mean() - jackknifed
    spread = float((deviations**2).sum()) ** 1.5
    return float((deviations**3).sum()) / (6 * spread) if spread else 0.0
