"""How small a drop against FP32 a number of images can show, before anything was measured on them.

A forecast for planning only: the drop's real interval comes from resampling the images (docs/datasets.md derives
the numbers).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from edgedyno.core.profile import Task

# As many as an interval takes (lab.bootstrap).
MIN_IMAGES = 5
_Z = 1.96
# Standard deviation of one image's part in the drop. Detection: paired differences of mAP50-95 between detectors and
# their variants, over random halves of 140 COCO images, had standard deviations of 0.009 to 0.018. Half of a set
# without replacement varies by sqrt(1/2) less than 70 images drawn afresh; times sqrt(70) gives one image's.
_DETECT = (0.009 * math.sqrt(2) * math.sqrt(70), 0.018 * math.sqrt(2) * math.sqrt(70))
# Classification: the root of the share of images that one of the two gets right and the other wrong, here 2 to 10 %.
_CLASSIFY = (math.sqrt(0.02), math.sqrt(0.10))
_SPREADS: dict[str, tuple[float, float]] = {"detect": _DETECT, "classify": _CLASSIFY}
_ONE_POINT = 0.01


class Power(Struct, frozen=True):
    """Half-widths of the drop's 95 % interval to expect, and how many images a drop of 1 pt would take."""

    half_width_low: float
    half_width_high: float
    images_for_one_point_low: int
    images_for_one_point_high: int
    words: str


def resolving_power(task: Task, images: int) -> Power:
    """Return what `images` labelled images can be expected to show."""
    low, high = (_Z * spread / math.sqrt(images) for spread in _SPREADS[task])
    least, most = (math.ceil((_Z * spread / _ONE_POINT) ** 2) for spread in _SPREADS[task])
    return Power(low, high, least, most, _words(images, low, high, least, most))


def _words(images: int, low: float, high: float, least: int, most: int) -> str:
    counted = f"{images} image{'s' if images != 1 else ''}"
    if images < MIN_IMAGES:
        return f"{counted}: no interval can be given for a drop; take {MIN_IMAGES} at the very least"
    if high <= _ONE_POINT:
        answer = "can settle a drop of 1 pt"
    elif low <= _ONE_POINT:
        answer = "may or may not settle a drop of 1 pt"
    else:
        answer = "cannot settle a drop of 1 pt"
    return (
        f"{counted} {answer}: a drop against FP32 will be known to about ±{low * 100:.1f} to ±{high * 100:.1f} pt; "
        f"±1 pt takes about {_round(least)} to {_round(most)} images"
    )


def _round(images: int) -> str:
    """Write a count to two digits, for it is no better known."""
    digits = max(len(str(images)) - 2, 0)
    return f"{round(images, -digits):,}"
