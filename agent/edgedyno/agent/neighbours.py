"""Other programs on this board that would disturb a measurement. Looks only; stops nothing."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.finding import Finding
from edgedyno.agent.host.proc import TICK_SECONDS, read_cpu_time
from edgedyno.agent.host.read import entries, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.host.place import Place

FOREIGN_LOAD_BOUND = 0.05
LOAD_WINDOW_SECONDS = 0.5
NAMED = 4
_DESKTOPS = frozenset(
    [
        "gnome-shell",
        "plasmashell",
        "Xorg",
        "Xwayland",
        "lightdm",
        "gdm3",
        "sddm",
        "labwc",
        "wayfire",
        "lxpanel",
    ]
)
# By the kernel's name for the process, which is cut to 15 characters.
_SERVICES = {
    "irqbalance": ("moves interrupts between cores", "sudo systemctl stop irqbalance"),
    "packagekitd": ("looks for updates", "sudo systemctl stop packagekit"),
    "snapd": ("updates packages", "sudo snap refresh --hold=24h"),
    "tracker-miner-f": ("indexes files", "systemctl --user mask --now tracker-miner-fs-3"),
    "apt-get": ("installs packages", "wait until it is done"),
    "dpkg": ("installs packages", "wait until it is done"),
    "tuned": ("changes governors and limits", "sudo systemctl stop tuned"),
    "power-profiles-": ("changes governors and limits", "powerprofilesctl set performance, then leave it"),
}
# Timers may begin at any time; they are found by their links, so that a recorded board shows them too.
_TIMERS = frozenset(
    [
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dnf-makecache.timer",
        "man-db.timer",
        "plocate-updatedb.timer",
    ]
)


class _Program(NamedTuple):
    pid: int
    name: str
    cpu_seconds: float


def neighbour_findings(place: Place, cpus: list[int]) -> Iterator[Finding]:
    """Look at what runs beside us: for half a second, in which this process sleeps, on a live board."""
    programs = _programs(place)
    yield from _desktop(programs)
    yield from _services(programs)
    yield from _timers(place)
    if not place.recorded:
        yield _load(place, cpus, programs)


def _programs(place: Place) -> dict[int, _Program]:
    """Return all programs but this one."""
    found = {}
    for entry in entries(place.path("proc")):
        if entry.isdecimal() and int(entry) != os.getpid():
            head, _, tail = (read_text(place.path("proc", entry, "stat")) or "").rpartition(")")
            fields = tail.split()
            if len(fields) > 12 and fields[11].isdecimal() and fields[12].isdecimal():  # noqa: PLR2004 proc_pid_stat(5)
                seconds = (int(fields[11]) + int(fields[12])) * TICK_SECONDS
                found[int(entry)] = _Program(int(entry), head.partition("(")[2], seconds)
    return found


def _desktop(programs: dict[int, _Program]) -> Iterator[Finding]:
    running = {program.name for program in programs.values()} & _DESKTOPS
    if running:
        text = f"a desktop session is running ({', '.join(sorted(running))})"
        yield Finding("desktop", "warn", text, "sudo systemctl isolate multi-user.target")


def _services(programs: dict[int, _Program]) -> Iterator[Finding]:
    for name in sorted({program.name for program in programs.values()} & _SERVICES.keys()):
        what, remedy = _SERVICES[name]
        yield Finding("services", "warn", f"{name} is running and {what}", remedy)


def _timers(place: Place) -> Iterator[Finding]:
    enabled = _TIMERS.intersection(entries(place.path("etc/systemd/system/timers.target.wants")))
    runs = place.recorded or place.path("run/systemd/system").is_dir()
    if enabled and runs:
        names = " ".join(sorted(enabled))
        yield Finding(
            "timers",
            "info",
            f"may begin while something is measured: {names}",
            f"sudo systemctl stop {names}",
        )


def _load(place: Place, cpus: list[int], programs: dict[int, _Program]) -> Finding:
    before = read_cpu_time(place.root, cpus)
    time.sleep(LOAD_WINDOW_SECONDS)
    after = read_cpu_time(place.root, cpus)
    if before is None or after is None:
        return Finding("load", "warn", "/proc/stat does not list all CPUs: load by others cannot be seen")
    busy = (after.busy - before.busy) / LOAD_WINDOW_SECONDS
    if busy <= FOREIGN_LOAD_BOUND * len(cpus):
        return Finding("load", "ok", f"others use {busy:.0%} of one CPU")
    who = _busiest(programs, _programs(place))
    text = f"others use {busy:.0%} of one CPU{f' ({who})' if who else ''}: windows that they disturb are void"
    return Finding("load", "warn", text, "end them, or wait until they are done, before measuring")


def _busiest(before: dict[int, _Program], after: dict[int, _Program]) -> str:
    """Name the programs that used most in the window, with their ids; the window holds the reading as well."""
    grown = {
        pid: now.cpu_seconds - (before[pid].cpu_seconds if pid in before else 0.0)
        for pid, now in after.items()
    }
    most = sorted((pid for pid in grown if grown[pid] > 0), key=lambda pid: -grown[pid])[:NAMED]
    return ", ".join(f"{after[pid].name} pid {pid}: {grown[pid] / LOAD_WINDOW_SECONDS:.0%}" for pid in most)
