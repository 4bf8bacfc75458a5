"""The heartbeat's live readings: temperatures and clocks, from a few small files, without starting anything.

Not responsible for power, whose sensors keep state and belong to the runner that measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import entries, read_float
from edgedyno.agent.host.thermal import find_temperature_files, read_temperatures

if TYPE_CHECKING:
    from pathlib import Path

_CPUFREQ = "sys/devices/system/cpu/cpufreq"
# A board with a policy for each of 128 cores has no need to send each; reading one wakes its core on x86.
MAX_CLOCKS = 8
MAX_TEMPERATURES = 16


class Live(NamedTuple):
    """What was read just now; what does not answer is left out."""

    temperature_celsius: dict[str, float]
    frequency_hz: dict[str, float]


class LiveReadings:
    """Knows the files that are read at each heartbeat; they are looked for once."""

    def __init__(self, root: Path) -> None:
        self._temperatures = dict(list(find_temperature_files(root).items())[:MAX_TEMPERATURES])
        policies = [name for name in entries(root / _CPUFREQ) if name.startswith("policy")]
        step = -(-len(policies) // MAX_CLOCKS) or 1
        self._clocks = {name: str(root / _CPUFREQ / name / "scaling_cur_freq") for name in policies[::step]}

    def read(self) -> Live:
        """Read everything now."""
        khz = {name: read_float(path) for name, path in self._clocks.items()}
        return Live(
            read_temperatures(self._temperatures),
            {name: value * 1000 for name, value in khz.items() if value},
        )
