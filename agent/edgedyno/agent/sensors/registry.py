"""Find the power sensors: entry points, in-tree ones included, loaded when they are asked for."""

from __future__ import annotations

import logging
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.sensors.base import Available, Sensor, Unavailable, close_sensor
from edgedyno.agent.sensors.outside import make_outside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import BoardProfile
    from edgedyno.core.meters import MeterSettings

GROUP = "edgedyno.sensors"
# The most trustworthy first (docs/method.md).
ORDER = (
    "rapl",
    "ina3221_hwmon",
    "ina3221_iio",
    "ina2xx",
    "pmic",
    "acpi_power_meter",
    "ipmi_dcmi",
    "power_supply",
    "nvml",
)
# Two meters of one thing may differ by their errors: 2 % for a good plug, as much for a BMC's supply; both, with room.
DISAGREEMENT_RATIO = 0.1
ADD_A_METER = "add a plug with `power: [{source: tasmota, topic: …}]` in the agent's configuration"
_log = logging.getLogger(__name__)


class Probed(NamedTuple):
    """A sensor and what its probe found; no sensor where the plugin itself could not be loaded."""

    source: str
    sensor: Sensor | None
    found: Available | Unavailable


def probe_sensors(place: Place, profile: BoardProfile, meters: Sequence[MeterSettings] = ()) -> list[Probed]:
    """Probe the meters that are configured, then every sensor, the most trustworthy first.

    A plugin that fails is an unavailable sensor.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: (_place_in_order(point.name), point.name))
    outside = [_probe(each.source, partial(make_outside, each)) for each in meters]
    return [*outside, *(_probe(point.name, _plugin(point, place, profile)) for point in points)]


def _plugin(point: EntryPoint, place: Place, profile: BoardProfile) -> Callable[[], Sensor]:
    def make() -> Sensor:
        sensor: Sensor = point.load()(place, profile.power_rule(point.name))
        return sensor

    return make


def _place_in_order(source: str) -> int:
    return ORDER.index(source) if source in ORDER else len(ORDER)


def _probe(source: str, make: Callable[[], Sensor]) -> Probed:
    try:
        sensor = make()
        return Probed(source, sensor, sensor.probe())
    except Exception as error:  # noqa: BLE001  (the boundary to plugins: one bad one must not hide the others)
        _log.exception("sensor plugin failed", extra={"source": source})
        return Probed(source, None, Unavailable(f"the sensor plugin failed: {type(error).__name__}: {error}"))


class Choice(NamedTuple):
    """The sensor to measure energy with."""

    sensor: Sensor
    found: Available
    doubt: str | None = None
    """What another sensor of the same scope says, where the two disagree."""


def choose_sensor(
    place: Place, profile: BoardProfile, meters: Sequence[MeterSettings] = ()
) -> Choice | Unavailable:
    """Return the sensor to measure energy with, or in one line why there is none."""
    probed = probe_sensors(place, profile, meters)
    usable = [
        Choice(each.sensor, each.found)
        for each in probed
        if each.sensor is not None and isinstance(each.found, Available)
    ]
    chosen = usable[0]._replace(doubt=disagreement(usable)) if usable else None
    for each in probed:
        if chosen is None or each.sensor is not chosen.sensor:
            close_sensor(each.sensor)
    return chosen or Unavailable(_why_none(probed, profile, meters))


def disagreement(usable: Sequence[Choice]) -> str | None:
    """Return what is odd if another sensor of the first one's scope reads otherwise just now."""
    if not usable or usable[0].sensor.spec.kind != "sampled":
        return None
    first = usable[0]
    for other in usable[1:]:
        if other.found.scope != first.found.scope or other.sensor.spec.kind != "sampled":
            continue
        one, two = first.sensor.read(), other.sensor.read()
        if isinstance(one, Unavailable) or isinstance(two, Unavailable):
            continue
        bound = (
            DISAGREEMENT_RATIO * max(one.value, two.value) + first.found.resolution + other.found.resolution
        )
        if abs(one.value - two.value) > bound:
            return (
                f"{first.sensor.spec.source} says {one.value:.4g} W and {other.sensor.spec.source} "
                f"{two.value:.4g} W of the same {first.found.scope}: one of them is wrong"
            )
    return None


def _why_none(probed: Sequence[Probed], profile: BoardProfile, meters: Sequence[MeterSettings]) -> str:
    expected = {rule.source for rule in profile.power} | {meter.source for meter in meters}
    why = "; ".join(
        f"{each.source}: {each.found.reason}"
        for each in probed
        if each.source in expected and isinstance(each.found, Unavailable)
    )
    nothing = f"no power sensor: {why or 'this board has none'}"
    return nothing if meters else f"{nothing}; {ADD_A_METER}"
