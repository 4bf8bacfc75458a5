"""Find the power sensors: entry points, in-tree ones included, loaded when they are asked for."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.sensors.base import Available, Sensor, Unavailable

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import BoardProfile

GROUP = "edgedyno.sensors"
# The most trustworthy first (docs/method.md).
ORDER = ("rapl", "ina3221_hwmon", "ina3221_iio", "pmic", "acpi_power_meter", "ipmi_dcmi")
_log = logging.getLogger(__name__)


class Probed(NamedTuple):
    """A sensor and what its probe found; no sensor where the plugin itself could not be loaded."""

    source: str
    sensor: Sensor | None
    found: Available | Unavailable


def probe_sensors(place: Place, profile: BoardProfile) -> list[Probed]:
    """Probe every sensor, the most trustworthy first. A plugin that fails is an unavailable sensor."""
    points = sorted(entry_points(group=GROUP), key=lambda point: (_place_in_order(point.name), point.name))
    return [_probe(point.name, point.load, place, profile) for point in points]


def _place_in_order(source: str) -> int:
    return ORDER.index(source) if source in ORDER else len(ORDER)


def _probe(source: str, load: object, place: Place, profile: BoardProfile) -> Probed:
    try:
        sensor: Sensor = load()(place, profile.power_rule(source))  # type: ignore[operator]
        return Probed(source, sensor, sensor.probe())
    except Exception as error:  # noqa: BLE001  (the boundary to plugins: one bad one must not hide the others)
        _log.exception("sensor plugin failed", extra={"source": source})
        return Probed(source, None, Unavailable(f"the sensor plugin failed: {type(error).__name__}: {error}"))


def choose_sensor(place: Place, profile: BoardProfile) -> tuple[Sensor, Available] | Unavailable:
    """Return the sensor to measure energy with, or in one line why there is none."""
    probed = probe_sensors(place, profile)
    for each in probed:
        if each.sensor is not None and isinstance(each.found, Available):
            return each.sensor, each.found
    expected = {rule.source for rule in profile.power}
    telling = [each for each in probed if each.source in expected and isinstance(each.found, Unavailable)]
    why = "; ".join(
        f"{each.source}: {each.found.reason}" for each in telling if isinstance(each.found, Unavailable)
    )
    return Unavailable(
        f"no power sensor: {why or 'this board has none'}; add a meter outside, such as a smart plug"
    )
