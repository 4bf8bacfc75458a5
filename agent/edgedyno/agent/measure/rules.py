"""What voids a window: the difference between two snapshots against bounds, each with its reason.

docs/method.md names the checks; the bounds are ours. Foreign CPU time has a module of its own (foreign), and so
have the clocks (clocks): here is the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.proc import TICK_SECONDS, total
from edgedyno.agent.host.tasks import Waiting, waited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.measure.snapshot import Snapshot

# PSI "some": a worker's own threads stall each other for a few per cent where they fill all cores, so this
# bound is wide; foreign load on the used cores is judged far more sharply by its CPU time and its run delay.
PRESSURE_BOUND = 0.20
# Memory pressure is reclaim and waiting for pages: there is none at all on a board whose memory suffices.
MEMORY_PRESSURE_BOUND = 0.02
# Steal comes in ticks: two ticks on each CPU are rounding.
STEAL_BOUND = 0.02
STEAL_ROUNDING_TICKS = 2
# One page now and then is housekeeping; 64 pages are 256 KiB within one window.
SWAP_BOUND_PAGES = 64
# After the warm-up a model is in memory. Each of these waits 0.1 to 10 ms for storage, in an inference.
MAJOR_FAULTS_BOUND = 8
# Slewing moves CLOCK_REALTIME and CLOCK_MONOTONIC alike (adjtimex(2)); only a step moves them apart.
CLOCK_STEP_BOUND_SECONDS = 0.005
# Worker threads that could run and had to wait, in thread-seconds per second. Two workers of a 6 ms model on 2
# cores, windows of 1 s, one thread and two: 0.3 to 1.3 % while nothing else ran; 10 to 23 % (one thread) and 92
# to 122 % (two) under `stress-ng --cpu 1` and `--cpu 2`. Counted in ns, so it sees what ticks of 10 ms miss.
# The runner wakes up between bursts, on the same cores where a board has no others, and hundreds of times a second
# for a fast model: what it used there itself is allowed for.
RUN_DELAY_BOUND_OF_ONE_CORE = 0.05
RUN_DELAY_BOUND_OF_ALL_CORES = 0.01
# Threads that fill all used cores by themselves (several streams) queue behind each other: their delay tells
# nothing of others, who then had less than a tenth of the cores.
FULL_SHARE = 0.9


class Difference(NamedTuple):
    """What happened between two snapshots; ratios are of the window's wall time."""

    seconds: float
    steal_ratio: float | None
    pressure: dict[str, float]
    swap_pages: int | None
    quota_throttles: int | None
    major_faults: int | None
    waiting: Waiting
    run_delay_ratio: float | None
    worker_share: float
    """CPU time of the workers, of the used cores' time."""
    own_ratio: float
    """CPU time of this process on the used cores, per second."""
    throttle_counts: dict[str, int]
    busy: dict[int, float]
    """Share of the window that each CPU worked."""


def compare(
    before: Snapshot, after: Snapshot, cpus: Sequence[int], *, own_is_here: bool = True
) -> Difference:
    """Return what happened on `cpus` and to the workers between two snapshots.

    `own_is_here` tells whether this process may run on the used cores.
    """
    seconds = max(after.at - before.at, 1e-9)
    steals = [times.steal if (times := total(each.cpus, cpus)) else None for each in (before, after)]
    steal = _grown(*steals)
    waiting = waited(before.processes, after.processes)
    known = before.processes.keys() & after.processes.keys()
    grown = [(after.processes[pid], before.processes[pid]) for pid in known]
    delay = waiting.run_delay_seconds
    return Difference(
        seconds=seconds,
        steal_ratio=None if steal is None else steal / seconds / max(1, len(cpus)),
        pressure={
            name: (value - before.pressure[name]) / seconds
            for name, value in after.pressure.items()
            if name in before.pressure
        },
        swap_pages=_whole(_grown(before.swapped, after.swapped)),
        quota_throttles=_whole(_grown(before.quota_throttles, after.quota_throttles)),
        major_faults=sum(new.major_faults - old.major_faults for new, old in grown) if grown else None,
        waiting=waiting,
        run_delay_ratio=None if delay is None else delay / seconds,
        worker_share=sum(new.cpu_seconds - old.cpu_seconds for new, old in grown)
        / seconds
        / max(1, len(cpus)),
        own_ratio=(after.own - before.own) / seconds if own_is_here else 0.0,
        throttle_counts={
            name: value - before.throttle.counters[name]
            for name, value in after.throttle.counters.items()
            if value != before.throttle.counters.get(name, value)
        },
        busy={
            cpu: (times.busy - before.cpus[cpu].busy) / seconds
            for cpu, times in after.cpus.items()
            if cpu in before.cpus
        },
    )


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def throttled(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the flags that were set and the counters that moved."""
    flags = sorted(before.throttle.flags | after.throttle.flags)
    moved = [
        f"throttle counter {name} moved from {before.throttle.counters[name]} to {value}"
        for name, value in sorted(after.throttle.counters.items())
        if value != before.throttle.counters.get(name, value)
    ]
    return [*(f"throttle flag set: {flag}" for flag in flags), *moved]


def mode_changed(before: Snapshot, after: Snapshot) -> list[str]:
    """Return whether the power mode is another one."""
    if before.power_mode == after.power_mode:
        return []
    return [f"power mode changed from {before.power_mode} to {after.power_mode}"]


def clock_stepped(before: Snapshot, after: Snapshot) -> list[str]:
    """Return whether someone set the system clock."""
    step = after.offset - before.offset
    if abs(step) <= CLOCK_STEP_BOUND_SECONDS:
        return []
    return [f"the system clock was stepped by {step:+.3f} s"]


def stalled(change: Difference, *, cpu_count: int, threads_apart: bool = True) -> list[str]:
    """Return what the machine as a whole waited for: CPUs, the hypervisor, memory, its quota.

    Threads of one worker that share CPUs wait for each other, as they do in deployment: that is no disturbance,
    so with `threads_apart` False waiting for a CPU is not judged.
    """
    reasons = []
    tick = TICK_SECONDS / change.seconds
    cpu = change.pressure.get("cpu", 0.0)
    if threads_apart and cpu - tick > PRESSURE_BOUND:
        reasons.append(f"tasks waited for a CPU {cpu:.0%} of the time (bound {PRESSURE_BOUND:.0%})")
    memory = change.pressure.get("memory", 0.0)
    if memory > MEMORY_PRESSURE_BOUND:
        reasons.append(
            f"tasks waited for memory {memory:.0%} of the time (bound {MEMORY_PRESSURE_BOUND:.0%})"
        )
    steal = change.steal_ratio
    if steal is not None and steal - STEAL_ROUNDING_TICKS * tick > STEAL_BOUND:
        reasons.append(f"the hypervisor took {steal:.1%} of the cores (bound {STEAL_BOUND:.0%})")
    if change.swap_pages is not None and change.swap_pages > SWAP_BOUND_PAGES:
        reasons.append(f"{change.swap_pages} pages were swapped (bound {SWAP_BOUND_PAGES})")
    if change.quota_throttles:
        reasons.append(f"the control group's CPU quota stopped its processes {change.quota_throttles} times")
    return [*reasons, *_workers_waited(change, cpu_count=cpu_count, threads_apart=threads_apart)]


def _workers_waited(change: Difference, *, cpu_count: int, threads_apart: bool) -> list[str]:
    reasons = []
    if change.major_faults is not None and change.major_faults > MAJOR_FAULTS_BOUND:
        reasons.append(
            f"the worker waited for storage {change.major_faults} times (major faults, bound {MAJOR_FAULTS_BOUND})"
        )
    bound = max(RUN_DELAY_BOUND_OF_ONE_CORE, RUN_DELAY_BOUND_OF_ALL_CORES * cpu_count)
    judged = threads_apart and change.worker_share < FULL_SHARE
    delay = change.run_delay_ratio if judged else None
    if delay is not None and delay - change.own_ratio > bound:
        reasons.append(
            f"the worker's threads waited {delay:.0%} of one CPU's time for others to leave it "
            f"(run delay, bound {bound:.0%})"
        )
    return reasons
