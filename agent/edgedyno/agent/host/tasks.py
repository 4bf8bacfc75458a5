"""What the kernel's scheduler says about a process: its CPU time, and how long its threads had to wait."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.proc import TICK_SECONDS
from edgedyno.agent.host.read import entries, read_text

if TYPE_CHECKING:
    from pathlib import Path

# A thread's two files cost some 20 microseconds; a runtime with more threads than this is read in part.
MAX_THREADS = 256
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
    folder = root / f"proc/{pid}/task"
    tasks = [name for name in entries(folder) if name.isdecimal()][:MAX_THREADS]
    return ProcessTime(cpu_seconds, major_faults, {int(task): _read_thread(folder / task) for task in tasks})


def _read_thread(folder: Path) -> ThreadTime:
    words = (read_text(folder / "schedstat") or "").split()
    delay = int(words[1]) / 1e9 if len(words) > 1 and words[1].isdecimal() else None
    counts = {kind: int(count) for kind, count in _SWITCHES.findall(read_text(folder / "status") or "")}
    return ThreadTime(delay, counts.get(""), counts.get("non"))


class Waiting(NamedTuple):
    """What the threads of some processes went through in a window; None where the kernel does not count."""

    run_delay_seconds: float | None
    voluntary_switches: int | None
    involuntary_switches: int | None


def waited(before: dict[int, ProcessTime], after: dict[int, ProcessTime]) -> Waiting:
    """Add up what the threads that live after a window went through in it; new ones count from their start."""
    gone = [(process.threads, before[pid].threads if pid in before else {}) for pid, process in after.items()]
    pairs = [(now, old.get(task)) for new, old in gone for task, now in new.items()]
    return Waiting(
        _grown([(now.run_delay_seconds, old and old.run_delay_seconds) for now, old in pairs]),
        _whole(_grown([(now.voluntary_switches, old and old.voluntary_switches) for now, old in pairs])),
        _whole(_grown([(now.involuntary_switches, old and old.involuntary_switches) for now, old in pairs])),
    )


def _grown(pairs: list[tuple[float | None, float | None]]) -> float | None:
    if not pairs or any(now is None for now, _ in pairs):
        return None
    return sum(max(0.0, (now or 0.0) - (old or 0.0)) for now, old in pairs)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
