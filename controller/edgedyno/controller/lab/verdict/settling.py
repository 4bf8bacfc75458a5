"""What would settle an open requirement, in words: images, or seconds of measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.settling import HOPELESS_FACTOR, images_needed
from edgedyno.controller.lab.verdict import quantities

if TYPE_CHECKING:
    from edgedyno.core.result import Result

BY_IMAGES = {"accuracy", "accuracy_drop", "agreement"}


class Settling(NamedTuple):
    """What would settle a requirement; both are None where nothing is known to."""

    text: str | None = None
    more_images: float | None = None


def settle(requirement: str, limit: float, bounds: tuple[float, float, float], result: Result) -> Settling:
    """Say what would bring an interval to one side of the limit; `bounds` are its value, low and high."""
    images = _images_of(requirement, result)
    if images is not None:
        needed = images_needed(*bounds, limit, images)
        if needed is None:
            return Settling(say("nothing soon: the value lies on the limit"))
        more = max(needed - images, 1)
        count = quantities.format_count(more)
        return Settling(say("about {more} more images ({images} were used)", more=count, images=images), more)
    if requirement != "latency_p50" or result.latency_seconds is None:
        return Settling()
    factor = _factor(*bounds, limit)
    if factor is None:
        return Settling(say("nothing soon: the value lies on the limit"))
    spent = result.latency_seconds.n * result.latency_seconds.mean
    return Settling(
        say("about {seconds} s more", seconds=quantities.format_count(max(spent * (factor - 1), 1)))
    )


def _images_of(requirement: str, result: Result) -> int | None:
    if requirement == "agreement":
        return result.fidelity.agreement.images if result.fidelity and result.fidelity.agreement else None
    return result.accuracy.images if requirement in BY_IMAGES and result.accuracy else None


def _factor(value: float, low: float, high: float, limit: float) -> float | None:
    """Return how many times the time would do: an interval's width falls with the root of it."""
    distance = abs(limit - value)
    half = high - value if limit > value else value - low
    if distance <= 0 or (half / distance) ** 2 > HOPELESS_FACTOR:
        return None
    return float((half / distance) ** 2)
