"""How many images would settle a requirement that an interval leaves open."""

from __future__ import annotations

from statistics import NormalDist

CONFIDENCE = 0.95
POWER = 0.8
"""How often as many images as are named would be enough, if the value is the true one."""
# More than that many times the images that were used only says that the value lies on its limit.
HOPELESS_FACTOR = 1e3


def images_needed(value: float, low: float, high: float, limit: float, images: int) -> float | None:
    """Return how many images, in all, would probably (`POWER`) bring the 95 % interval to one side of `limit`.

    From the standard error that the interval's width stands for, which falls with the root of the images: the
    usual size of a sample for a difference (Cohen, Statistical Power Analysis, 1988). None where the value lies on
    the limit, so that a thousand times the images would not do.
    """
    normal = NormalDist()
    sure = normal.inv_cdf((1 + CONFIDENCE) / 2)
    error, distance = (high - low) / (2 * sure), abs(limit - value)
    if distance <= 0:
        return None
    factor = ((sure + normal.inv_cdf(POWER)) * error / distance) ** 2
    return images * factor if factor <= HOPELESS_FACTOR else None
