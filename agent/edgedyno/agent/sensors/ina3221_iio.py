"""INA3221 by NVIDIA's older iio driver (Jetson, JetPack 4): rail_name_N and in_powerN_input in milliwatts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.host.read import entries, read_float, read_text
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec, Unavailable
from edgedyno.agent.sensors.rails import Rail, describe, take

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

UPDATE_SECONDS = 0.1  # Not documented for this driver; taken longer than it is likely to be.
# 40 µV on the 5 mOhm shunts of these modules is 8 mA: 0.04 W at 5 V. The driver states no shunt.
STEP_AMPERES = 0.008
CHANNELS = (0, 1, 2)


class Ina3221Iio:
    """All INA3221 chips that the iio driver has."""

    spec = SensorSpec(
        source="ina3221_iio", scope="module", kind="sampled", min_window_seconds=30.0, max_rate_hertz=10.0
    )

    def __init__(self, place: Place, rule: PowerRule | None = None) -> None:
        self._place = place
        self._rule = rule
        self._devices: list[str] | None = None

    def probe(self) -> Available | Unavailable:
        """Find the chips and read their rails once."""
        self._devices = find_devices(self._place)
        if not self._devices:
            return Unavailable("no INA3221 of the iio driver in /sys/bus/i2c/drivers/ina3221x")
        return describe(self._rails(), self._rule, scope=self.spec.scope, period_seconds=UPDATE_SECONDS)

    def _rails(self) -> dict[str, Rail]:
        return {name: rail for device in self._devices or [] for name, rail in _read_device(device).items()}

    def read(self) -> Reading | Unavailable:
        """Read every rail, so that parts are held against their total each time."""
        if self._devices is None:
            self._devices = find_devices(self._place)
        return take(self._rails, self._rule)


def find_devices(place: Place) -> list[str]:
    """Return the folders of the iio devices."""
    base = place.path("sys/bus/i2c/drivers/ina3221x")
    return [
        f"{base}/{address}/{device}"
        for address in entries(base)
        for device in entries(base / address)
        if device.startswith("iio:device")
    ]


def _read_device(device: str) -> dict[str, Rail]:
    rails = {}
    for channel in CHANNELS:
        name = read_text(f"{device}/rail_name_{channel}")
        milliwatts = read_float(f"{device}/in_power{channel}_input")
        if name is None or name == "NC" or milliwatts is None:
            continue
        volts = (read_float(f"{device}/in_voltage{channel}_input") or 0.0) / 1000
        rails[name] = Rail(milliwatts / 1000, volts * STEP_AMPERES)
    return rails
