"""What would settle an open requirement: images, or seconds of measuring. Estimates, written as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities

if TYPE_CHECKING:
    from edgedyno.core.result import Result

# Beyond this an estimate of what would settle a requirement only says that the value lies on its limit.
HOPELESS_FACTOR = 1e3
BY_IMAGES = {"accuracy", "accuracy_drop", "agreement"}


def images_needed(value: float, low: float, high: float, limit: float, images: int) -> float | None:
    """Estimate how many images in all would bring the interval to one side of the limit; None: no reasonable number.

    An interval's width falls with the root of the number of images.
    """
    factor = _factor(value, low, high, limit)
    return None if factor is None else images * factor


def settle_in_words(
    requirement: str, limit: float, bounds: tuple[float, float, float], result: Result
) -> tuple[str | None, float | None]:
    """Say what would settle a requirement whose interval reaches across the limit, and how many images, if any.

    `bounds` are value, low, high.
    """
    images = _images_of(requirement, result)
    if images is not None:
        needed = images_needed(*bounds, limit, images)
        if needed is None:
            return say("nothing soon: the value lies on the limit"), None
        return (
            say(
                "about {more} more images ({images} were used)",
                more=quantities.format_count(max(needed - images, 1)),
                images=images,
            ),
            needed - images,
        )
    factor = _factor(*bounds, limit)
    if factor is None:
        return say("nothing soon: the value lies on the limit"), None
    if requirement == "latency_p50" and result.latency_seconds is not None:
        spent = result.latency_seconds.n * result.latency_seconds.mean
        more = quantities.format_count(max(spent * (factor - 1), 1))
        return say("about {seconds} s more", seconds=more), None
    return None, None


def _images_of(requirement: str, result: Result) -> int | None:
    if requirement == "agreement":
        return result.fidelity.agreement.images if result.fidelity and result.fidelity.agreement else None
    if requirement in BY_IMAGES and result.accuracy is not None:
        return result.accuracy.images
    return None


def _factor(value: float, low: float, high: float, limit: float) -> float | None:
    distance = abs(limit - value)
    half = high - value if limit > value else value - low
    if distance <= 0 or (half / distance) ** 2 > HOPELESS_FACTOR:
        return None
    return float((half / distance) ** 2)
