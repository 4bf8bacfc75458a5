"""What a board's files say at one moment: everything that `Watch` compares before and after a window.

Reads some 30 small files, and two more for each thread of each worker; starts nothing, judges nothing.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.devices import is_memory, read_device_clocks
from edgedyno.agent.host.powermode import read_power_mode
from edgedyno.agent.host.proc import (
    CpuTime,
    read_cpu_times,
    read_pressure_seconds,
    read_swapped_pages,
)
from edgedyno.agent.host.quota import quota_folders, read_quota_throttles
from edgedyno.agent.host.tasks import ProcessTime, read_process
from edgedyno.agent.host.thermal import find_temperature_files, read_temperatures
from edgedyno.agent.host.throttle import ThrottleReading, find_throttle_probes
from edgedyno.agent.host.topology import has_boost, read_policies
from edgedyno.agent.measure.clocks import ClockState, read_clock_state, read_device_state, watched

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgedyno.agent.host.place import Place

PRESSURES = ("cpu", "memory", "io")


class Snapshot(NamedTuple):
    """A board at one moment; what cannot be read is None or absent."""

    at: float
    """Monotonic seconds."""
    offset: float
    """Of the system clock against the monotonic one, in seconds."""
    cpus: dict[int, CpuTime]
    pressure: dict[str, float]
    """Seconds in which some task waited, by resource."""
    swapped: int | None
    clocks: dict[str, ClockState]
    throttle: ThrottleReading
    temperatures: dict[str, float]
    power_mode: str | None
    quota_throttles: int | None
    processes: dict[int, ProcessTime]
    own: float
    """CPU seconds of this process."""


class Lens:
    """Knows where to look on one board; what is fixed is looked up once."""

    def __init__(self, place: Place, cpus: Sequence[int]) -> None:
        self._root = place.root
        self.policies = watched(read_policies(place.root, cpus))
        self.temperature_files = find_temperature_files(place.root)
        self.devices = [each.name for each in read_device_clocks(place.root) if is_memory(each.name)]
        self.throttle = [probe for probe in find_throttle_probes(place, cpus) if probe.reason is None]
        self.quota_folders = quota_folders(place.root)
        self._boosts = has_boost(place.root)
        self._has_mode = read_power_mode(place.root) is not None

    def read_clocks(self) -> dict[str, ClockState]:
        """Read the clocks of the cores and of the memory now."""
        cores = {each.name: read_clock_state(self._root, each, boosts=self._boosts) for each in self.policies}
        return cores | {f"devfreq {name}": read_device_state(self._root, name) for name in self.devices}

    def read_throttle(self) -> ThrottleReading:
        """Read all that tells of throttling now."""
        return _read_all([probe.read() for probe in self.throttle])

    def read_temperatures(self) -> dict[str, float]:
        """Read the temperatures now."""
        return read_temperatures(self.temperature_files)

    def temperature_cost(self) -> float:
        """Return what reading the temperatures takes, in seconds: some zones ask a firmware or a slow bus."""
        began = time.perf_counter()
        self.read_temperatures()
        return time.perf_counter() - began

    def take(self, pids: Collection[int]) -> Snapshot:
        """Read everything now; a process that is gone is left out."""
        root = self._root
        clocks = self.read_clocks()  # first: governors let them sink within milliseconds of the last burst
        pressures = {name: read_pressure_seconds(root, name) for name in PRESSURES}
        processes = {pid: read_process(root, pid) for pid in pids}
        return Snapshot(
            at=time.monotonic(),
            offset=_clock_offset(),
            cpus=read_cpu_times(root),
            pressure={name: seconds for name, seconds in pressures.items() if seconds is not None},
            swapped=read_swapped_pages(root),
            clocks=clocks,
            throttle=self.read_throttle(),
            temperatures=self.read_temperatures(),
            power_mode=read_power_mode(root) if self._has_mode else None,
            quota_throttles=None if self.quota_folders is None else read_quota_throttles(self.quota_folders),
            processes={pid: each for pid, each in processes.items() if each is not None},
            own=sum(os.times()[:2]),
        )


def _read_all(readings: list[ThrottleReading]) -> ThrottleReading:
    counters = {name: value for reading in readings for name, value in reading.counters.items()}
    return ThrottleReading(counters, frozenset(flag for reading in readings for flag in reading.flags))


def _clock_offset() -> float:
    """Return CLOCK_REALTIME minus CLOCK_MONOTONIC, from the closest of three pairs of readings."""
    best_gap, best_offset = float("inf"), 0.0
    for _ in range(3):
        first = time.monotonic()
        real = time.time()
        last = time.monotonic()
        if last - first < best_gap:
            best_gap, best_offset = last - first, real - (first + last) / 2
    return best_offset
