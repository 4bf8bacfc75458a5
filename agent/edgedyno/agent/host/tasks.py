"""What the kernel's scheduler says about a process: its CPU time, and how long its threads had to wait."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.proc import TICK_SECONDS
from edgedyno.agent.host.read import entries, read_text

if TYPE_CHECKING:
    from pathlib import Path

# A runtime with more threads than this is read in part.
MAX_THREADS = 256
# Reading `status` takes nearly three times as long as `schedstat` (27 against 10 microseconds on an EPYC
# core), and its counts of switches are for information only: the many threads of a large machine do without.
MAX_THREADS_WITH_SWITCHES = 32
_SWITCHES = re.compile(r"^(non)?voluntary_ctxt_switches:\s+(\d+)$", re.MULTILINE)


class ThreadTime(NamedTuple):
    """One thread since it began; None where the kernel does not count."""

    run_delay_seconds: float | None
    """How long it could run but waited for a CPU."""
    voluntary_switches: int | None
    involuntary_switches: int | None


class ProcessTime(NamedTuple):
    """One process since it began."""

    cpu_seconds: float
    """Of all its threads, ended ones too."""
    major_faults: int
    threads: dict[int, ThreadTime]


def read_process(root: Path, pid: int) -> ProcessTime | None:
    """Return what a process has used and waited for; None when it is gone."""
    # The name in parentheses may hold blanks and parentheses: read on from the last one (proc_pid_stat(5)).
    fields = (read_text(root / f"proc/{pid}/stat") or "").rpartition(")")[2].split()
    try:
        cpu_seconds = (int(fields[11]) + int(fields[12])) * TICK_SECONDS
        major_faults = int(fields[9])
    except (IndexError, ValueError):
        return None
    folder = f"{root}/proc/{pid}/task"
    tasks = [name for name in entries(folder) if name.isdecimal()][:MAX_THREADS]
    switches = len(tasks) <= MAX_THREADS_WITH_SWITCHES
    threads = {int(task): _read_thread(f"{folder}/{task}", switches=switches) for task in tasks}
    return ProcessTime(cpu_seconds, major_faults, threads)


def _read_thread(folder: str, *, switches: bool) -> ThreadTime:
    words = (read_text(f"{folder}/schedstat") or "").split()
    delay = int(words[1]) / 1e9 if len(words) > 1 and words[1].isdecimal() else None
    status = read_text(f"{folder}/status") or "" if switches else ""
    counts = {kind: int(count) for kind, count in _SWITCHES.findall(status)}
    return ThreadTime(delay, counts.get(""), counts.get("non"))


class Waiting(NamedTuple):
    """What the threads of some processes went through in a window; None where the kernel does not count."""

    run_delay_seconds: float | None
    voluntary_switches: int | None
    involuntary_switches: int | None


_UNBORN = ThreadTime(0.0, 0, 0)


def waited(before: dict[int, ProcessTime], after: dict[int, ProcessTime]) -> Waiting:
    """Add up what the threads that live after a window went through in it; new ones count from their start."""
    pairs = [
        (now, before[pid].threads.get(task, _UNBORN) if pid in before else _UNBORN)
        for pid, process in after.items()
        for task, now in process.threads.items()
    ]
    return Waiting(
        _grown([(old.run_delay_seconds, now.run_delay_seconds) for now, old in pairs]),
        _whole(_grown([(old.voluntary_switches, now.voluntary_switches) for now, old in pairs])),
        _whole(_grown([(old.involuntary_switches, now.involuntary_switches) for now, old in pairs])),
    )


def _grown(pairs: list[tuple[float | None, float | None]]) -> float | None:
    known = [(old, now) for old, now in pairs if old is not None and now is not None]
    if not known or len(known) < len(pairs):
        return None
    return sum(max(0.0, now - old) for old, now in known)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
