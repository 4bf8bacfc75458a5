"""Intervals by resampling images: each resample is a row that says how often each image was drawn."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 1000
CONFIDENCE = 0.95
# Any fixed number: the same results must give the same interval every time.
SEED = 20240229
# Enough for the acceleration, few enough for thousands of images.
_MAX_GROUPS = 200
# Fewer draws than that say nothing of a spread.
MIN_IMAGES = 5


class Bootstrap:
    """How often each image counts in each resample, drawn with replacement, and then in each part of the jackknife."""

    def __init__(self, images: int) -> None:
        columns = np.concatenate([draw_weights(images), leave_out(images)])
        self.counts = np.ascontiguousarray(columns.T, dtype=np.int32)

    def bounds(self, estimate: float, values: Floats, images: int) -> tuple[float, float] | None:
        """Return the interval of a share of `images` of the images; None when they are too few."""
        if images < MIN_IMAGES:
            return None
        found = interval(estimate, values[:RESAMPLES], values[RESAMPLES:])
        return found or _at_the_end(estimate, images)

    def bounds_of_difference(
        self, estimate: float, values: Floats, images: int
    ) -> tuple[float, float] | None:
        """Return the interval of the difference of two shares of the same images.

        Where few images differ, no resample has what one more of them would do: with 17 images, of which two
        differ, resamples held the truth in 77 % of cases. So one is added on either side (Bonett and Price, Journal
        of Educational and Behavioral Statistics 37:479, 2012); how many differ follows from the resamples' spread.
        """
        drawn = values[:RESAMPLES][np.isfinite(values[:RESAMPLES])]
        if images < MIN_IMAGES or not drawn.size:
            return None
        differing = round(images * (images * float(drawn.var()) + estimate**2))
        shift = estimate * images / (images + 2)
        error = math.sqrt(((differing + 2) / (images + 2) - shift**2) / (images + 2))
        reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
        return min(estimate, shift - reach), max(estimate, shift + reach)


def _at_the_end(share: float, images: int) -> tuple[float, float] | None:
    """Return the interval of a share of all or none (Clopper and Pearson, Biometrika 26:404, 1934)."""
    room = ((1 - CONFIDENCE) / 2) ** (1 / images)
    if share == 1:
        return room, 1.0
    return (0.0, 1 - room) if share == 0 else None


def draw_weights(images: int, *, resamples: int = RESAMPLES) -> Floats:
    """Return a row per resample and a column per image; each row adds up to the number of images."""
    generator = np.random.default_rng(SEED)
    return generator.multinomial(images, np.full(images, 1 / images), size=resamples).astype(np.float64)


def leave_out(images: int) -> Floats:
    """Return the jackknife's weights: each row leaves one image out, or one group when there are many."""
    groups = min(images, _MAX_GROUPS)
    member = np.arange(images) % groups
    return np.asarray(member[None, :] != np.arange(groups)[:, None], dtype=np.float64)


def interval(estimate: float, resampled: Floats, jackknifed: Floats) -> tuple[float, float] | None:
    """Return the bias-corrected and accelerated interval (BCa; Efron 1987, JASA 82:171) of an estimate.

    The plain percentiles are used where all resamples lie on one side of the estimate. None when they do not
    vary: they tell nothing then.
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
