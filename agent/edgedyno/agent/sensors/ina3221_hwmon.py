"""INA3221 by hwmon (Jetson with JetPack 5 and later): three rails a chip, power as voltage x current.

The driver has no power file. in1 to in3 are bus voltages, in4 to in6 shunt voltages, in7 is the sum of shunt
voltages (Documentation/hwmon/ina3221.rst): only channels 1 to 3 are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import entries, read_float, read_int, read_text
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec, Unavailable
from edgedyno.agent.sensors.rails import Rail, describe, take

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

SHUNT_STEP_VOLTS = 40e-6  # TI INA3221 data sheet (SBOS576B): one step of the shunt voltage register.
SHUNT_DEFAULT_OHMS = 0.01  # The driver's own default where the device tree states none.
NOT_CONNECTED = "NC"
CHANNELS = (1, 2, 3)


class _Channel(NamedTuple):
    label: str
    voltage: str
    current: str
    shunt_ohms: float


class Ina3221Hwmon:
    """All INA3221 chips of the board as one source."""

    spec = SensorSpec(
        source="ina3221_hwmon", scope="module", kind="sampled", min_window_seconds=10.0, max_rate_hertz=50.0
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._place = place
        self._rule = rule
        self._chips: list[str] | None = None
        self._channels: list[_Channel] = []

    def probe(self) -> Available | Unavailable:
        """Find the chips and read their rails once."""
        self._find()
        if not self._chips:
            return Unavailable("no INA3221 in /sys/class/hwmon")
        periods = [read_float(f"{chip}/update_interval") for chip in self._chips]
        known = [period / 1000 for period in periods if period]
        return describe(
            self._rails(), self._rule, scope=self.spec.scope, period_seconds=max(known) if known else None
        )

    def _find(self) -> None:
        self._chips = find_chips(self._place)
        self._channels = [channel for chip in self._chips for channel in _channels_of(chip)]

    def _rails(self) -> dict[str, Rail]:
        read = {channel.label: _read_channel(channel) for channel in self._channels}
        return {name: rail for name, rail in read.items() if rail is not None}

    def read(self) -> Reading | Unavailable:
        """Read every rail, so that parts are held against their total each time."""
        if self._chips is None:
            self._find()
        return take(self._rails, self._rule)


def find_chips(place: Place) -> list[str]:
    """Return the hwmon folders of INA3221 chips."""
    base = place.path("sys/class/hwmon")
    return [f"{base}/{name}" for name in entries(base) if read_text(base / name / "name") == "ina3221"]


def _channels_of(chip: str) -> list[_Channel]:
    """Read what does not change, once: reading it ten times a second took half of what sampling cost."""
    channels = []
    for number in CHANNELS:
        label = read_text(f"{chip}/in{number}_label")
        if label is None or label == NOT_CONNECTED or read_int(f"{chip}/in{number}_enable") == 0:
            continue
        microohms = read_float(f"{chip}/shunt{number}_resistor")
        ohms = microohms / 1e6 if microohms else SHUNT_DEFAULT_OHMS
        channels.append(_Channel(label, f"{chip}/in{number}_input", f"{chip}/curr{number}_input", ohms))
    return channels


def _read_channel(channel: _Channel) -> Rail | None:
    millivolts, milliamperes = read_float(channel.voltage), read_float(channel.current)
    if millivolts is None or milliamperes is None:
        return None
    volts = millivolts / 1000
    return Rail(volts * milliamperes / 1000, volts * SHUNT_STEP_VOLTS / channel.shunt_ohms)
