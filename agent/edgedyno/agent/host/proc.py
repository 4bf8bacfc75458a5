"""The counters of /proc that tell who used the machine: stat, pressure, vmstat, loadavg, children."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import entries, first_float, read_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

TICK_SECONDS = 1.0 / os.sysconf("SC_CLK_TCK")
_USED = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq; guest time is in user already (proc_stat(5)).
_STEAL = 7
_SOME = re.compile(r"^some .*total=(\d+)", re.MULTILINE)


class CpuTime(NamedTuple):
    """Seconds since boot, of one CPU or summed over some."""

    busy: float
    steal: float | None


def read_cpu_times(root: Path) -> dict[int, CpuTime]:
    """Return how long each online CPU was busy and how long the hypervisor took it; empty where unknown."""
    times: dict[int, CpuTime] = {}
    for line in (read_text(root / "proc/stat") or "").split("\nintr", 1)[0].splitlines():
        name, *fields = line.split()
        number = name.removeprefix("cpu")
        if number.isdecimal() and len(fields) > max(_USED) and all(field.isdecimal() for field in fields):
            busy = sum(int(fields[index]) for index in _USED) * TICK_SECONDS
            steal = int(fields[_STEAL]) * TICK_SECONDS if len(fields) > _STEAL else None
            times[int(number)] = CpuTime(busy, steal)
    return times


def total(times: Mapping[int, CpuTime], cpus: Collection[int]) -> CpuTime | None:
    """Add up some CPUs; None if one is not listed."""
    if not all(cpu in times for cpu in cpus):
        return None
    steals = [times[cpu].steal for cpu in cpus]
    known = [steal for steal in steals if steal is not None]
    return CpuTime(sum(times[cpu].busy for cpu in cpus), sum(known) if len(known) == len(steals) else None)


def read_cpu_time(root: Path, cpus: Collection[int]) -> CpuTime | None:
    """Return how long `cpus` were busy and how long the hypervisor took them; None if one is not listed."""
    return total(read_cpu_times(root), cpus)


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


def read_children(root: Path, pid: int | str = "self") -> list[int]:
    """Return the ids of a process's children; empty where the kernel keeps no list of them."""
    folder = root / f"proc/{pid}/task"
    texts = [read_text(folder / task / "children") or "" for task in entries(folder)]
    return [int(word) for text in texts for word in text.split() if word.isdecimal()]
