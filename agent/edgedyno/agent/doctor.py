"""What works on this board and what does not, with what to do about it. Looks only; changes nothing."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.disturbances import clock_findings, kernel_findings
from edgedyno.agent.finding import Finding
from edgedyno.agent.host.board import Board, read_board
from edgedyno.agent.host.place import Place, locate
from edgedyno.agent.host.system import (
    free_disk_bytes,
    read_available_memory_bytes,
    read_container,
    read_virtual_machine,
)
from edgedyno.agent.neighbours import neighbour_findings
from edgedyno.agent.permissions import forbidden, remedy_for
from edgedyno.agent.runtime_findings import runtime_findings
from edgedyno.agent.sensors.extras import INSTALL
from edgedyno.agent.sensors.registry import ADD_A_METER
from edgedyno.core.board import Host
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.board import Capabilities
    from edgedyno.core.meters import MeterSettings
    from edgedyno.core.run import Environment

MIN_MEMORY_BYTES = 512e6  # A 640x640 detector, its runtime and the runner take some 400 MB.
MIN_DISK_BYTES = 1e9  # Variants, data set and samples of one ordinary job take some 100 MB.


def examine(
    root: Path = Path("/"),
    environments: list[Environment] | None = None,
    meters: Sequence[MeterSettings] = (),
) -> list[Finding]:
    """Look at everything that measuring here depends on.

    Takes half a second for the load that others put on the CPUs, and what probing the runtimes takes. A
    recorded board is examined without its runtimes, load, memory, disk and Python.
    """
    place = locate(root)
    board = read_board(place)
    capabilities = read_capabilities(root=root, environments=environments, meters=meters)
    findings = [
        _board(capabilities),
        *_expectations(capabilities.host or Host()),
        *_traps(board),
        *_power(capabilities),
        *_throttle(capabilities),
        *clock_findings(place),
        *kernel_findings(place),
        *_surroundings(place, board),
        *forbidden(place),
    ]
    if not place.recorded:
        findings += [_python(), *runtime_findings(capabilities), _memory(place), _disk(cache_folder())]
    # Last: it watches the load, which probing the runtimes above would be part of.
    findings += neighbour_findings(place, board.topology.online)
    return findings


def _board(capabilities: Capabilities) -> Finding:
    known = capabilities.profile != "generic"
    return Finding(
        "board",
        "ok",
        f"{capabilities.name}, {'profile ' + capabilities.profile if known else 'no profile of its own'}",
        None if known else "nothing has to be done: an unknown board works from what is found",
    )


# What a difference between profile and board is about, by a word of its sentence, and what to do about it.
_REMEDIES = (
    ("offline", "cpus", "a power mode may hold them; see nvpmodel or cpu*/online"),
    ("does not list", "instructions", "a 32-bit or old kernel hides them; use a 64-bit one"),
    ("no memory", "memory nodes", "plug modules for every node, or measure on nodes that have some"),
    ("memory should", "memory size", "a share may be set aside for the GPU; see the boot configuration"),
    ("should reach", "clock range", "another bin, firmware or power mode; figures belong to what was found"),
)


def _expectations(host: Host) -> list[Finding]:
    """Name what the profile says and the board does not show, and the files that could not be used."""
    findings = []
    for text in host.differs:
        _, name, remedy = next(
            (each for each in _REMEDIES if each[0] in text),
            ("", "board differs", "what was found counts; tell us by a capture: edgedyno agent capture DIR"),
        )
        findings.append(Finding(name, "warn", text, remedy))
    findings += [Finding("file", "warn", text) for text in host.problems]
    return findings


def _traps(board: Board) -> list[Finding]:
    return [Finding("known", "info", text) for text in board.profile.traps]


def _power(capabilities: Capabilities) -> list[Finding]:
    usable = [each for each in capabilities.power if each.available]
    findings = [Finding("power", "ok", f"{each.source} meters the {each.scope}") for each in usable]
    reasons = [
        f"{each.source}: {each.reason}"
        for each in capabilities.power
        if not each.available and not each.absent
    ]
    findings += [
        Finding("power", "warn", f"{each.source}: {each.reason}", remedy_for(each.source))
        for each in capabilities.power
        if not each.available and ("root only" in (each.reason or "") or "permission" in (each.reason or ""))
    ]
    for each in capabilities.power:
        text, found, extra = (each.reason or "").partition(f": {INSTALL}")
        if found and not each.available:
            findings.append(Finding("power", "warn", f"{each.source}: {text}", f"{INSTALL}{extra}"))
    if not usable:
        text = f"no power sensor, so energy is not measured ({'; '.join(reasons) or 'this board has none'})"
        findings.append(Finding("power", "warn", text, ADD_A_METER))
    return findings


def _throttle(capabilities: Capabilities) -> list[Finding]:
    usable = [each.source for each in capabilities.throttle if each.available]
    if usable:
        return [Finding("throttling", "ok", f"seen by {', '.join(usable)}")]
    reasons = [f"{each.source}: {each.reason}" for each in capabilities.throttle]
    text = f"cannot be seen here ({'; '.join(reasons) or 'no counter or flag'}); results will say so"
    return [Finding("throttling", "warn", text)]


def _surroundings(place: Place, board: Board) -> list[Finding]:
    findings = []
    if container := read_container(place.root):
        findings.append(
            Finding("container", "warn", f"this is a {container} container: it may hide sensors and load")
        )
    if machine := read_virtual_machine(place.root, board.info):
        text = f"this is a virtual machine ({machine}): clocks, heat and throttling belong to its host"
        findings.append(Finding("machine", "warn", text))
    return findings


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _memory(place: Place) -> Finding:
    available = read_available_memory_bytes(place.root)
    if available is None:
        return Finding("memory", "warn", "/proc/meminfo does not tell how much memory is available")
    text = f"{format_bytes(available)} available"
    if available >= MIN_MEMORY_BYTES:
        return Finding("memory", "ok", text)
    return Finding("memory", "warn", f"{text}, {format_bytes(MIN_MEMORY_BYTES)} are wanted", "close programs")


def cache_folder() -> Path:
    """Return where the agent keeps files of its own when nothing else is configured."""
    state = os.environ.get("STATE_DIRECTORY") or os.environ.get("EDGEDYNO_STATE_DIR")
    if state:
        return Path(state.split(":")[0])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgedyno"


def _disk(folder: Path) -> Finding:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = f"sudo chown $USER {existing}, or set XDG_CACHE_HOME"
        return Finding("disk", "fail", f"{folder} cannot be written", remedy)
    free = free_disk_bytes(folder)
    if free is None or free < MIN_DISK_BYTES:
        text = f"{format_bytes(free or 0)} free at {folder}, {format_bytes(MIN_DISK_BYTES)} are wanted"
        return Finding("disk", "warn", text, "free some space")
    return Finding("disk", "ok", f"{format_bytes(free)} free at {folder}")
