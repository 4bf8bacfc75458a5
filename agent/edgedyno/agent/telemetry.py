"""The heartbeat's live readings: temperatures, clocks, throttling and power, from a few small files, starting nothing.

Power only from sources that are files: one that needs a program (vcgencmd, ipmitool) would cost an idle board
more than it tells. Never used while something is measured: the daemon sends no heartbeat then.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import entries, read_float
from edgedyno.agent.host.thermal import find_temperature_files, read_temperatures
from edgedyno.agent.host.throttle import file_probes
from edgedyno.agent.sensors.base import Reading
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.sensors.base import Sensor, SensorFactory
    from edgedyno.core.board import Capabilities

log = logging.getLogger(__name__)

_CPUFREQ = "sys/devices/system/cpu/cpufreq"
# A board with a policy for each of 128 cores has no need to send each; reading one wakes its core on x86.
MAX_CLOCKS = 8
MAX_TEMPERATURES = 16
MAX_THROTTLED = 16
# The classes behind the entry points: looking those up would load every package's metadata into the daemon.
_POWER_FILES = {
    "rapl": ("edgedyno.agent.sensors.rapl", "Rapl"),
    "ina3221_hwmon": ("edgedyno.agent.sensors.ina3221_hwmon", "Ina3221Hwmon"),
    "ina3221_iio": ("edgedyno.agent.sensors.ina3221_iio", "Ina3221Iio"),
}
# A counter of 65 kJ wraps twice in no less than this at 1 kW.
MAX_COUNTER_GAP_SECONDS = 120.0


class Live(NamedTuple):
    """What was read just now; what does not answer is left out."""

    temperature_celsius: dict[str, float]
    frequency_hz: dict[str, float]
    power_watts: dict[str, float]
    throttled: list[str]


class LiveReadings:
    """Knows the files that are read at each heartbeat; they are looked for once."""

    def __init__(self, root: Path, capabilities: Capabilities | None = None) -> None:
        self._power = _find_power(root, capabilities) if capabilities else None
        self._temperatures = dict(list(find_temperature_files(root).items())[:MAX_TEMPERATURES])
        self._throttle = file_probes(root)
        self._counters: dict[str, int] = {}
        self._throttled()  # counters begin with what they were before the agent started
        policies = [name for name in entries(root / _CPUFREQ) if name.startswith("policy")]
        step = -(-len(policies) // MAX_CLOCKS) or 1
        self._clocks = {name: str(root / _CPUFREQ / name / "scaling_cur_freq") for name in policies[::step]}

    def read(self) -> Live:
        """Read everything now."""
        khz = {name: read_float(path) for name, path in self._clocks.items()}
        return Live(
            read_temperatures(self._temperatures),
            {name: value * 1000 for name, value in khz.items() if value},
            self._power.read() if self._power else {},
            self._throttled(),
        )

    @property
    def throttle_visible(self) -> bool:
        """Whether any file tells of throttling here."""
        return bool(self._throttle)

    def _throttled(self) -> list[str]:
        """Return flags that are set and counters that moved since the last reading."""
        found: set[str] = set()
        for probe in self._throttle:
            reading = probe.read()
            found |= reading.flags
            found |= {
                name for name, count in reading.counters.items() if count != self._counters.get(name, count)
            }
            self._counters.update(reading.counters)
        return sorted(found)[:MAX_THROTTLED]


class LivePower:
    """One power sensor, read at the heartbeat's pace."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self._last: Reading | None = None

    def read(self) -> dict[str, float]:
        """Return watts now, of a counter the mean since the last heartbeat; empty where that is not known."""
        found = self._sensor.read()
        reading = found if isinstance(found, Reading) else None
        last, self._last = self._last, reading
        if reading is None:
            return {}
        if self._sensor.spec.kind == "sampled":
            return {self._sensor.spec.source: reading.value}
        seconds = reading.at_seconds - last.at_seconds if last else 0.0
        if last is None or not 0 < seconds <= MAX_COUNTER_GAP_SECONDS or reading.value < last.value:
            return {}
        return {self._sensor.spec.source: (reading.value - last.value) / seconds}


def _find_power(root: Path, capabilities: Capabilities) -> LivePower | None:
    """Return the first power source that is available and made of files; its modules are imported only then."""
    sources = [each.source for each in capabilities.power if each.available and each.source in _POWER_FILES]
    if not sources:
        return None
    from edgedyno.agent.host.place import locate
    from edgedyno.agent.host.profile import read_profile

    module, name = _POWER_FILES[sources[0]]
    try:
        rule = read_profile(capabilities.profile).power_rule(sources[0])
    except (FileNotFoundError, ConfigError):
        # Without its rule a board's rails cannot be told from their total: no power is better than a wrong one.
        log.warning("no live power: there is no profile %s to read %s by", capabilities.profile, sources[0])
        return None
    make: SensorFactory = getattr(importlib.import_module(module), name)
    return LivePower(make(locate(root), rule))
