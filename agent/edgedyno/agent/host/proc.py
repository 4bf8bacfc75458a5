"""The counters of /proc that tell who used the CPUs: stat, pressure, vmstat, loadavg, one process's time."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import entries, first_float, read_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TICK_SECONDS = 1.0 / os.sysconf("SC_CLK_TCK")
_USED = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq; guest time is in user already (proc_stat(5)).
_STEAL = 7
_SOME = re.compile(r"^some .*total=(\d+)", re.MULTILINE)


class CpuTime(NamedTuple):
    """Seconds since boot, summed over some CPUs."""

    busy: float
    steal: float | None


def read_cpu_time(root: Path, cpus: Collection[int]) -> CpuTime | None:
    """Return how long `cpus` were busy and how long the hypervisor took them; None if one is not listed."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    busy = steal = 0
    missing_steal = False
    for line in (read_text(root / "proc/stat") or "").split("\nintr", 1)[0].splitlines():
        name, *fields = line.split()
        if name in wanted and all(field.isdecimal() for field in fields) and len(fields) > max(_USED):
            wanted.discard(name)
            busy += sum(int(fields[index]) for index in _USED)
            missing_steal |= len(fields) <= _STEAL
            steal += int(fields[_STEAL]) if len(fields) > _STEAL else 0
    if wanted:
        return None
    return CpuTime(busy * TICK_SECONDS, None if missing_steal else steal * TICK_SECONDS)


def read_pressure_seconds(root: Path, resource: str = "cpu") -> float | None:
    """Return for how long some task has been waiting for `resource`, in seconds since boot."""
    match = _SOME.search(read_text(root / "proc/pressure" / resource) or "")
    return int(match[1]) / 1e6 if match else None


def read_swapped_pages(root: Path) -> int | None:
    """Return how many pages were swapped in and out since boot."""
    counts = re.findall(r"^pswp(?:in|out) (\d+)$", read_text(root / "proc/vmstat") or "", re.MULTILINE)
    return sum(map(int, counts)) if counts else None


def read_load(root: Path) -> float | None:
    """Return the load average over one minute."""
    return first_float(read_text(root / "proc/loadavg"))


def read_process_seconds(root: Path, pid: int) -> float | None:
    """Return the CPU time of a process and its threads, ended ones too; None when it is gone."""
    # The name in parentheses may hold blanks and parentheses: read on from the last one (proc_pid_stat(5)).
    fields = (read_text(root / f"proc/{pid}/stat") or "").rpartition(")")[2].split()
    try:
        return (int(fields[11]) + int(fields[12])) * TICK_SECONDS
    except (IndexError, ValueError):
        return None


def read_children(root: Path, pid: int | str = "self") -> list[int]:
    """Return the ids of a process's children; empty where the kernel keeps no list of them."""
    folder = root / f"proc/{pid}/task"
    texts = [read_text(folder / task / "children") or "" for task in entries(folder)]
    return [int(word) for text in texts for word in text.split() if word.isdecimal()]
