"""Which rails add up. A branch is never added to the rail that feeds it; parts above it are refused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.sensors.base import PLAUSIBLE_WATTS, Available, Reading, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgedyno.agent.host.profile import PowerRule

# Names under which one rail feeds all others, on the boards that we know.
INPUT_RAILS = ("VDD_IN", "POM_5V_IN", "VIN")
# Parts may seem to exceed their total by the error of the sensors: INA3221 gain error is 0.25 % at most with
# shunts of 1 %; two of them, doubled.
PARTS_TOLERANCE = 0.05


class Rail(NamedTuple):
    """A rail's power and the smallest step of that figure."""

    watts: float
    step_watts: float


def total_rails(rails: Mapping[str, object], rule: PowerRule | None) -> list[str] | Unavailable:
    """Return the rails that together are the whole, or why that cannot be told."""
    if rule is not None and rule.total:
        missing = [name for name in rule.total if name not in rails]
        if missing:
            return Unavailable(f"rail {', '.join(missing)} is missing; found {', '.join(rails) or 'none'}")
        return rule.total
    inputs = [name for name in INPUT_RAILS if name in rails]
    if inputs:
        return inputs[:1]
    if not rails:
        return Unavailable("none of its rails can be read")
    return Unavailable(
        f"found the rails {', '.join(rails)}, but not known which of them add up on this board; "
        "a board profile with `total` would tell"
    )


def add_up(rails: Mapping[str, Rail], rule: PowerRule | None) -> Rail | Unavailable:
    """Return the whole's power and step."""
    names = total_rails(rails, rule)
    if isinstance(names, Unavailable):
        return names
    for parent, parts in (rule.parts if rule else {}).items():
        contradiction = _contradiction(rails, parent, parts)
        if contradiction:
            return Unavailable(contradiction)
    watts = sum(rails[name].watts for name in names)
    if not 0 <= watts <= PLAUSIBLE_WATTS:
        return Unavailable(f"{' + '.join(names)} reads {watts:.3f} W, which cannot be")
    return Rail(watts, sum(rails[name].step_watts for name in names))


def _contradiction(rails: Mapping[str, Rail], parent: str, parts: list[str]) -> str | None:
    known = [name for name in parts if name in rails]
    if parent not in rails or not known:
        return None
    total = rails[parent]
    branches = sum(rails[name].watts for name in known)
    slack = total.step_watts + sum(rails[name].step_watts for name in known)
    if branches <= total.watts * (1 + PARTS_TOLERANCE) + slack:
        return None
    return (
        f"{' + '.join(known)} read {branches:.2f} W, more than the {total.watts:.2f} W of {parent}, "
        "which feeds them: the labels or the shunts are wrong"
    )


def describe(
    rails: dict[str, Rail], rule: PowerRule | None, *, scope: str, period_seconds: float | None
) -> Available | Unavailable:
    """Return what rails that were read make available; `scope` is the sensor's own, a board's rule knows better."""
    whole = add_up(rails, rule)
    if isinstance(whole, Unavailable):
        return whole
    names = total_rails(rails, rule)
    first = [] if isinstance(names, Unavailable) else names
    return Available(
        scope=rule.scope if rule else scope,
        rails=[*first, *(name for name in rails if name not in first)],
        period_seconds=period_seconds,
        resolution=whole.step_watts,
    )


def take(read_rails: Callable[[], dict[str, Rail]], rule: PowerRule | None) -> Reading | Unavailable:
    """Read every rail, so that parts are held against their total each time; the stamp is the middle of the reading."""
    before = time.monotonic()
    rails = read_rails()
    at_seconds = (before + time.monotonic()) / 2
    whole = add_up(rails, rule)
    if isinstance(whole, Unavailable):
        return whole
    return Reading(at_seconds, whole.watts, tuple(rail.watts for rail in rails.values()))
