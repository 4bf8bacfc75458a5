"""Was the board quiet and steady while a window was measured? Conditions, and a verdict on the window.

`Watch` takes a snapshot before and after a window and judges the difference by the rules below. It reads some
20 to 40 small files each time, outside the window, and starts no thread. Not responsible for waiting until a
board has cooled down, nor for what happens to a void window.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from edgedyno.agent.host.place import locate
from edgedyno.agent.host.powermode import read_power_mode
from edgedyno.agent.host.proc import (
    TICK_SECONDS,
    CpuTime,
    read_children,
    read_cpu_time,
    read_load,
    read_pressure_seconds,
    read_process_seconds,
    read_swapped_pages,
)
from edgedyno.agent.host.system import read_kernel
from edgedyno.agent.host.thermal import find_temperature_files, read_temperatures
from edgedyno.agent.host.throttle import ThrottleReading, find_throttle_probes
from edgedyno.agent.host.topology import read_policies
from edgedyno.agent.measure.clocks import ClockState, read_clock_state, slowed, watched
from edgedyno.agent.measure.foreign import ForeignLoad, Share
from edgedyno.core.result import Conditions, Validity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# docs/method.md names the checks; their bounds are ours.
# PSI "some": a worker's own threads stall each other for a few per cent where they fill all cores, so this
# bound is wide; foreign load on the used cores is judged far more sharply by its CPU time.
PRESSURE_BOUND = 0.20
# Steal comes in ticks: two ticks on each CPU are rounding.
STEAL_BOUND = 0.02
STEAL_ROUNDING_TICKS = 2
# One page now and then is housekeeping; 64 pages are 256 KiB within one window.
SWAP_BOUND_PAGES = 64
# Slewing moves CLOCK_REALTIME and CLOCK_MONOTONIC alike (adjtimex(2)); only a step moves them apart.
CLOCK_STEP_BOUND_SECONDS = 0.005


class Observation(Struct, frozen=True):
    """What a window was like."""

    conditions: Conditions
    validity: Validity


class _Snapshot(NamedTuple):
    at: float
    cpu: CpuTime | None
    pressure: float | None
    swapped: int | None
    offset: float
    clocks: dict[str, ClockState]
    throttle: ThrottleReading
    power_mode: str | None
    processes: dict[int, float]
    own: float


class Watch:
    """Watches `cpus` over one window after another; what is seen in earlier windows sharpens the judgement.

    Several worker processes may run in a window: give all their ids to `start` and `stop`. Ids that were
    given before are remembered. Children of this process count as workers; its own CPU time is not foreign.
    """

    def __init__(self, root: Path = Path("/"), *, cpus: Sequence[int], agent_version: str = "") -> None:
        self._place = locate(root)
        self._root = self._place.root
        self._cpus = list(cpus)
        self._agent_version = agent_version
        self._policies = watched(read_policies(self._root, cpus))
        self._temperature_files = find_temperature_files(self._root)
        probes = find_throttle_probes(self._place, cpus)
        self._throttle = [probe for probe in probes if probe.reason is None]
        self._foreign = ForeignLoad(len(self._cpus))
        self._kernel = read_kernel(self._root)
        self._static_mode = read_power_mode(self._root)
        self._workers: set[int] = set()
        self._before: _Snapshot | None = None

    def start(self, worker_pids: Iterable[int] = ()) -> None:
        """Mark the beginning of a window."""
        self._workers.update(worker_pids, read_children(self._root))
        self._before = self._snapshot()

    def stop(self, worker_pids: Iterable[int] = ()) -> Observation:
        """Mark the window's end and judge it. Raises RuntimeError when no window was started."""
        if self._before is None:
            raise RuntimeError("Watch.stop was called without Watch.start")
        before, self._before = self._before, None
        self._workers.update(worker_pids)
        after = self._snapshot()
        share = self._foreign.judge(*self._foreign_seconds(before, after), workers=len(after.processes))
        self._workers &= after.processes.keys()
        return Observation(
            conditions=self._conditions(before, after, share), validity=self._validity(before, after, share)
        )

    def _snapshot(self) -> _Snapshot:
        processes = {pid: read_process_seconds(self._root, pid) for pid in self._workers}
        return _Snapshot(
            at=time.monotonic(),
            cpu=read_cpu_time(self._root, self._cpus),
            pressure=read_pressure_seconds(self._root),
            swapped=read_swapped_pages(self._root),
            offset=_clock_offset(),
            clocks={policy.name: read_clock_state(self._root, policy) for policy in self._policies},
            throttle=_read_all([probe.read() for probe in self._throttle]),
            power_mode=read_power_mode(self._root) if self._static_mode else None,
            processes={pid: seconds for pid, seconds in processes.items() if seconds is not None},
            own=sum(os.times()[:2]),
        )

    def _foreign_seconds(self, before: _Snapshot, after: _Snapshot) -> tuple[float | None, float]:
        window = after.at - before.at
        known = all(pid in before.processes for pid in after.processes)
        if before.cpu is None or after.cpu is None or not known:
            return None, window
        workers = sum(after.processes[pid] - before.processes[pid] for pid in after.processes)
        return after.cpu.busy - before.cpu.busy - workers - (after.own - before.own), window

    def _conditions(self, before: _Snapshot, after: _Snapshot, share: Share) -> Conditions:
        window = max(after.at - before.at, 1e-9)
        clocks = after.clocks.items()
        pressure = _difference(before.pressure, after.pressure)
        return Conditions(
            governor={name: state.governor for name, state in clocks if state.governor},
            frequency_hz={name: state.frequency_hz for name, state in clocks if state.frequency_hz},
            temperature_celsius=read_temperatures(self._temperature_files),
            throttled=bool(_throttled(before, after)) if self._throttle else None,
            load=read_load(self._root),
            pressure={} if pressure is None else {"cpu_some": pressure / window},
            power_mode=after.power_mode,
            kernel=self._kernel,
            agent_version=self._agent_version,
            extra={} if share.ratio is None else {"foreign_cpu_ratio": share.ratio},
        )

    def _validity(self, before: _Snapshot, after: _Snapshot, share: Share) -> Validity:
        reasons = [
            *_throttled(before, after),
            *slowed(before.clocks, after.clocks),
            *_mode_changes(before, after),
            *_stalls(before, after, cpu_count=len(self._cpus)),
            *([share.reason] if share.reason else []),
        ]
        return Validity(valid=not reasons, reasons=reasons, not_checkable=self._not_checkable(after, share))

    def _not_checkable(self, after: _Snapshot, share: Share) -> list[str]:
        missing = {
            "throttling: no counter or flag on this board": not self._throttle,
            "clock: no cpufreq": not self._policies,
            "governor: no cpufreq": not any(state.governor for state in after.clocks.values()),
            "power mode: none on this board": after.power_mode is None,
            "temperature: no thermal zone": not self._temperature_files,
            "pressure stall: no /proc/pressure/cpu": after.pressure is None,
            "foreign CPU use: no /proc/stat of the used cores": after.cpu is None,
            "foreign CPU use: the worker's own CPU time is not known": after.cpu is not None
            and share.ratio is None,
            "steal: not in /proc/stat": after.cpu is None or after.cpu.steal is None,
            "swap: not in /proc/vmstat": after.swapped is None,
        }
        varying = sorted(
            {state.governor for state in after.clocks.values() if state.varies and state.governor}
        )
        if varying:
            missing[f"clock within the window: governor {', '.join(varying)} changes it by design"] = True
        return [text for text, absent in missing.items() if absent]


def _read_all(readings: list[ThrottleReading]) -> ThrottleReading:
    counters = {name: value for reading in readings for name, value in reading.counters.items()}
    return ThrottleReading(counters, frozenset(flag for reading in readings for flag in reading.flags))


def _throttled(before: _Snapshot, after: _Snapshot) -> list[str]:
    flags = sorted(before.throttle.flags | after.throttle.flags)
    moved = [
        f"throttle counter {name} moved from {before.throttle.counters[name]} to {value}"
        for name, value in sorted(after.throttle.counters.items())
        if value != before.throttle.counters.get(name, value)
    ]
    return [*(f"throttle flag set: {flag}" for flag in flags), *moved]


def _mode_changes(before: _Snapshot, after: _Snapshot) -> list[str]:
    if before.power_mode == after.power_mode:
        return []
    return [f"power mode changed from {before.power_mode} to {after.power_mode}"]


def _stalls(before: _Snapshot, after: _Snapshot, *, cpu_count: int) -> list[str]:
    """Judge what the whole machine tells: pressure, steal, swap, a stepped clock."""
    window = max(after.at - before.at, 1e-9)
    reasons = []
    pressure = _difference(before.pressure, after.pressure)
    if pressure is not None and pressure - TICK_SECONDS > PRESSURE_BOUND * window:
        reasons.append(
            f"tasks waited for a CPU {pressure / window:.0%} of the time (bound {PRESSURE_BOUND:.0%})"
        )
    steal = _difference(before.cpu and before.cpu.steal, after.cpu and after.cpu.steal)
    rounding = STEAL_ROUNDING_TICKS * TICK_SECONDS * cpu_count
    if steal is not None and steal - rounding > STEAL_BOUND * window * cpu_count:
        reasons.append(
            f"the hypervisor took {steal / window / cpu_count:.1%} of the cores (bound {STEAL_BOUND:.0%})"
        )
    swapped = _difference(before.swapped, after.swapped)
    if swapped is not None and swapped > SWAP_BOUND_PAGES:
        reasons.append(f"{swapped:.0f} pages were swapped (bound {SWAP_BOUND_PAGES})")
    step = after.offset - before.offset
    if abs(step) > CLOCK_STEP_BOUND_SECONDS:
        reasons.append(f"the system clock was stepped by {step:+.3f} s")
    return reasons


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


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


def combine(observations: Sequence[Observation]) -> Observation:
    """Return one observation for several windows of one trial: void when any was, hottest, slowest.

    Raises ValueError for an empty sequence.
    """
    if not observations:
        raise ValueError("combine needs at least one observation")
    conditions = [each.conditions for each in observations]
    validities = [each.validity for each in observations]
    throttled = [each.throttled for each in conditions if each.throttled is not None]
    last = conditions[-1]
    merged = Conditions(
        governor=last.governor,
        frequency_hz=_extreme([each.frequency_hz for each in conditions], largest=False),
        temperature_celsius=_extreme([each.temperature_celsius for each in conditions], largest=True),
        throttled=any(throttled) if throttled else None,
        load=last.load,
        pressure=_extreme([each.pressure for each in conditions], largest=True),
        power_mode=last.power_mode,
        kernel=last.kernel,
        agent_version=last.agent_version,
        extra=_extreme([each.extra for each in conditions], largest=True),
    )
    return Observation(
        merged,
        Validity(
            valid=all(each.valid for each in validities),
            reasons=list(dict.fromkeys(text for each in validities for text in each.reasons)),
            not_checkable=list(dict.fromkeys(text for each in validities for text in each.not_checkable)),
        ),
    )


def _extreme(values: Sequence[dict[str, float]], *, largest: bool) -> dict[str, float]:
    choose = max if largest else min
    names = dict.fromkeys(name for each in values for name in each)
    return {name: choose(each[name] for each in values if name in each) for name in names}
