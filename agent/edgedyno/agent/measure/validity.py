"""Was the board quiet and steady while a window was measured? Conditions, and a verdict on the window.

`Watch` takes a snapshot before and after a window and judges the difference (rules, clocks, foreign). It does
so outside the window and starts no thread. Not responsible for waiting until a board has cooled down (gating),
nor for what happens to a void window.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from edgedyno.agent.host.place import locate
from edgedyno.agent.host.proc import read_children, read_load, total
from edgedyno.agent.host.system import read_kernel
from edgedyno.agent.host.topology import read_siblings
from edgedyno.agent.measure.clocks import ClockState, held_down, slowed
from edgedyno.agent.measure.foreign import (
    ELSEWHERE_BOUND_OF_ALL_CORES,
    ELSEWHERE_BOUND_OF_ONE_CORE,
    ForeignLoad,
    Share,
)
from edgedyno.agent.measure.merge import extreme, merge_conditions
from edgedyno.agent.measure.rules import (
    FULL_SHARE,
    Difference,
    clock_stepped,
    compare,
    mode_changed,
    stalled,
    throttled,
)
from edgedyno.agent.measure.series import TEMPERATURE_COST_BOUND_SECONDS, Series
from edgedyno.agent.measure.snapshot import Lens, Snapshot
from edgedyno.core.result import Conditions, Validity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedyno.agent.host.throttle import ThrottleReading

# The firmware's flags hold only while it throttles; a Raspberry Pi's are to be read twice a second or more.
POLL_SECONDS = 0.4


class Observation(Struct, frozen=True):
    """What a window was like."""

    conditions: Conditions
    validity: Validity


class _Window(NamedTuple):
    """A window and what was found out about it."""

    before: Snapshot
    after: Snapshot
    change: Difference
    here: Share
    elsewhere: Share
    lowest: dict[str, ClockState]
    """The slowest state of each clock that was seen before, in or after the window."""


class Watch:
    """Watches `cpus` over one window after another; what is seen in earlier windows sharpens the judgement.

    Several worker processes may run in a window: give all their ids to `start` and `stop`. Ids that were
    given before are remembered. Children of this process count as workers; its own CPU time is not foreign.
    """

    def __init__(self, root: Path = Path("/"), *, cpus: Sequence[int], agent_version: str = "") -> None:
        place = locate(root)
        self._root = place.root
        self._cpus = list(cpus)
        # What runs on the other hardware thread of a core takes half of that core.
        self._used = sorted({*cpus, *read_siblings(self._root, cpus)})
        self._lens = Lens(place, cpus)
        self._foreign = ForeignLoad(len(self._used))
        self._elsewhere = ForeignLoad(
            0,
            bound_of_one_core=ELSEWHERE_BOUND_OF_ONE_CORE,
            bound_of_all_cores=ELSEWHERE_BOUND_OF_ALL_CORES,
            where="the other cores",
        )
        self._kernel = read_kernel(self._root)
        self._agent_version = agent_version
        self.series = Series(throttle_visible=bool(self._lens.throttle))
        """What was seen over time, for the samples."""
        self._asks_temperatures = self._lens.temperature_cost() <= TEMPERATURE_COST_BOUND_SECONDS
        self._workers: set[int] = set()
        self._first: Snapshot | None = None
        self._before: Snapshot | None = None
        self._between: list[tuple[ThrottleReading, dict[str, ClockState]]] = []
        self._poll_at = 0.0
        self.threads_apart = True
        """Whether every thread of a worker has a CPU of its own, so that none can wait for another of them."""

    def _look(self, snapshot: Snapshot, cost_seconds: float) -> Snapshot:
        """Keep what a window's beginning or end saw."""
        self.series.add(
            snapshot.at, snapshot.temperatures, snapshot.clocks, snapshot.throttle, cost_seconds=cost_seconds
        )
        return snapshot

    def _take(self) -> Snapshot:
        """Take a snapshot and the time that it costs."""
        began = time.perf_counter()
        snapshot = self._lens.take(self._workers)
        return self._look(snapshot, time.perf_counter() - began)

    def start(self, worker_pids: Iterable[int] = ()) -> None:
        """Mark the beginning of a window."""
        self._workers.update(worker_pids, read_children(self._root))
        self._before = self._take()
        self._first = self._first or self._before
        self._between = []
        self._poll_at = self._before.at + POLL_SECONDS

    def poll(self) -> None:
        """Look at flags and clocks within a window; to be called between bursts, as often as one likes.

        Does something only every POLL_SECONDS, and then reads a few files. Never call it inside a burst.
        """
        now = time.monotonic()
        if self._before is None or now < self._poll_at:
            return
        self._poll_at = now + POLL_SECONDS
        began = time.perf_counter()
        throttle, clocks = self._lens.read_throttle(), self._lens.read_clocks()
        temperatures = self._lens.read_temperatures() if self._asks_temperatures else {}
        cost = time.perf_counter() - began
        self._between.append((throttle, clocks))
        self.series.add(now, temperatures, clocks, throttle, cost_seconds=cost)

    def stop(self, worker_pids: Iterable[int] = ()) -> Observation:
        """Mark the window's end and judge it. Raises RuntimeError when no window was started."""
        if self._before is None:
            raise RuntimeError("Watch.stop was called without Watch.start")
        before, self._before = self._before, None
        self._workers.update(worker_pids)
        after = self._take()
        own_is_here = not os.sched_getaffinity(0).isdisjoint(self._used)
        here, elsewhere = self._shares(before, after, own_is_here=own_is_here)
        flags = after.throttle.flags.union(*(throttle.flags for throttle, _ in self._between))
        after = after._replace(throttle=after.throttle._replace(flags=flags))
        lowest = _lowest([before.clocks, *(clocks for _, clocks in self._between), after.clocks])
        change = compare(before, after, self._cpus, own_is_here=own_is_here)
        window = _Window(before, after, change, here, elsewhere, lowest)
        self._workers &= after.processes.keys()
        return Observation(conditions=self._conditions(window), validity=self._validity(window))

    def _shares(self, before: Snapshot, after: Snapshot, *, own_is_here: bool) -> tuple[Share, Share]:
        """Judge what others took of the used cores and of all others."""
        seconds = after.at - before.at
        others = sorted(after.cpus.keys() - set(self._used))
        own = after.own - before.own
        here = _busy(before, after, self._used)
        if not all(pid in before.processes for pid in after.processes):
            here = None
        if here is not None:
            workers = [
                after.processes[pid].cpu_seconds - before.processes[pid].cpu_seconds
                for pid in after.processes
            ]
            here -= sum(workers) + (own if own_is_here else 0.0)
        there = _busy(before, after, others) if others else None
        if there is not None and not own_is_here:
            there -= own
        return (
            self._foreign.judge(here, seconds, workers=len(after.processes)),
            self._elsewhere.judge(there, seconds, cpu_count=len(others)),
        )

    def _conditions(self, window: _Window) -> Conditions:
        before, after, change = window.before, window.after, window.change
        states = after.clocks.items()
        clocks = [
            {name: state.frequency_hz for name, state in each.clocks.items() if state.frequency_hz}
            for each in (before, after)
        ]
        return Conditions(
            governor={name: state.governor for name, state in states if state.governor},
            frequency_hz={
                name: state.frequency_hz for name, state in window.lowest.items() if state.frequency_hz
            },
            frequency_before_hz=clocks[0],
            frequency_after_hz=clocks[1],
            frequency_max_hz={name: state.limit_hz for name, state in states if state.limit_hz},
            temperature_celsius=extreme([before.temperatures, after.temperatures], largest=True),
            throttled=bool(throttled(before, after)) if self._lens.throttle else None,
            throttle_counts=change.throttle_counts,
            load=read_load(self._root),
            pressure={f"{name}_some": ratio for name, ratio in change.pressure.items()},
            foreign_cpu_ratio=window.here.ratio,
            other_cores_ratio=window.elsewhere.ratio,
            run_delay_ratio=change.run_delay_ratio,
            voluntary_switches=change.waiting.voluntary_switches,
            involuntary_switches=change.waiting.involuntary_switches,
            major_faults=change.major_faults,
            steal_ratio=change.steal_ratio,
            swap_pages=change.swap_pages,
            quota_throttles=change.quota_throttles,
            power_mode=after.power_mode,
            kernel=self._kernel,
            agent_version=self._agent_version,
        )

    def _validity(self, window: _Window) -> Validity:
        before, after, change = window.before, window.after, window.change
        first = self._first or before
        shares = (window.here, window.elsewhere)
        reasons = [
            *throttled(before, after),
            *slowed(first.clocks, window.lowest),
            *held_down(after.clocks, self._busy_policies(change)),
            *mode_changed(first, after),
            *stalled(change, cpu_count=len(self._cpus), threads_apart=self.threads_apart),
            *clock_stepped(before, after),
            *(share.reason for share in shares if share.reason),
        ]
        return Validity(valid=not reasons, reasons=reasons, not_checkable=self._not_checkable(window))

    def _busy_policies(self, change: Difference) -> dict[str, float]:
        return {
            policy.name: max((change.busy.get(cpu, 0.0) for cpu in policy.cpus), default=0.0)
            for policy in self._lens.policies
        }

    def _not_checkable(self, window: _Window) -> list[str]:
        after, change = window.after, window.change
        listed = total(after.cpus, self._used)
        workers = bool(after.processes)
        missing = {
            "throttling: no counter or flag on this board": not self._lens.throttle,
            "clock: no cpufreq": not self._lens.policies,
            "governor: no cpufreq": not any(state.governor for state in after.clocks.values()),
            "power mode: none on this board": after.power_mode is None,
            "temperature: no thermal zone": not self._lens.temperature_files,
            "pressure stall: no /proc/pressure/cpu": "cpu" not in after.pressure,
            "memory pressure: no /proc/pressure/memory": "memory" not in after.pressure,
            "foreign CPU use: no /proc/stat of the used cores": listed is None,
            "foreign CPU use: the worker's own CPU time is not known": listed is not None
            and window.here.ratio is None,
            "steal: not in /proc/stat": listed is None or listed.steal is None,
            "swap: not in /proc/vmstat": after.swapped is None,
            "CPU quota: no control group of this process": after.quota_throttles is None,
            "run delay: no schedstat of the worker's threads": workers and change.run_delay_ratio is None,
            "run delay: the worker's own threads fill the used cores": workers
            and change.worker_share >= FULL_SHARE,
            "major faults: the worker is not known": workers and change.major_faults is None,
        }
        return [*(text for text, absent in missing.items() if absent), *_moving(after)]


def _lowest(moments: Sequence[dict[str, ClockState]]) -> dict[str, ClockState]:
    """Return each clock's last state, but with the lowest frequency that was seen."""
    low: dict[str, ClockState] = {}
    for clocks in moments:
        for name, state in clocks.items():
            seen = [hz for hz in (low[name].frequency_hz if name in low else None, state.frequency_hz) if hz]
            low[name] = structs.replace(state, frequency_hz=min(seen, default=None))
    return low


def _busy(before: Snapshot, after: Snapshot, cpus: Sequence[int]) -> float | None:
    old, new = total(before.cpus, cpus), total(after.cpus, cpus)
    return None if old is None or new is None else new.busy - old.busy


def _moving(after: Snapshot) -> list[str]:
    """Name the clocks that cannot be judged finely, because they move by design."""
    varying = [state for state in after.clocks.values() if state.varies]
    governors = sorted({state.governor for state in varying if state.governor and not state.boosts})
    texts = (
        [f"clock within the window: governor {', '.join(governors)} changes it by design"]
        if governors
        else []
    )
    if any(state.boosts for state in varying):
        texts.append("clock within the window: boost changes it by design")
    return texts


def combine(observations: Sequence[Observation]) -> Observation:
    """Return one observation for several windows of one trial: void when any was, hottest, slowest.

    Raises ValueError for an empty sequence.
    """
    if not observations:
        raise ValueError("combine needs at least one observation")
    validities = [each.validity for each in observations]
    return Observation(
        merge_conditions([each.conditions for each in observations]),
        Validity(
            valid=all(each.valid for each in validities),
            reasons=list(dict.fromkeys(text for each in validities for text in each.reasons)),
            not_checkable=list(dict.fromkeys(text for each in validities for text in each.not_checkable)),
        ),
    )
