"""What works on this board and what does not, with what to do about it. Looks only; changes nothing."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.board import Board, read_board
from edgedyno.agent.host.cpulist import format_cpu_list
from edgedyno.agent.host.place import Place, locate
from edgedyno.agent.host.proc import read_cpu_time, read_pressure_seconds, read_swapped_pages
from edgedyno.agent.host.read import entries, read_text
from edgedyno.agent.host.system import (
    free_disk_bytes,
    read_available_memory_bytes,
    read_container,
    read_virtual_machine,
)
from edgedyno.agent.host.topology import CPU_FOLDER
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from edgedyno.core.board import Capabilities, RuntimeInfo
    from edgedyno.core.run import Environment

Status = Literal["ok", "warn", "fail"]
MIN_MEMORY_BYTES = 512e6  # A 640x640 detector, its runtime and the runner take some 400 MB.
MIN_DISK_BYTES = 1e9  # Variants, data set and samples of one ordinary job take some 100 MB.
FOREIGN_LOAD_BOUND = 0.05
LOAD_WINDOW_SECONDS = 0.5
_DESKTOPS = ("gnome-shell", "plasmashell", "Xorg", "Xwayland", "lightdm", "gdm3", "sddm", "labwc", "wayfire")


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at."""

    name: str
    status: Status
    text: str
    remedy: str | None = None


def examine(root: Path = Path("/"), environments: list[Environment] | None = None) -> list[Finding]:
    """Look at everything that measuring here depends on.

    Takes half a second for the load that others put on the CPUs, and what probing the runtimes takes. A
    recorded board is examined without its runtimes, load, disk and Python.
    """
    place = locate(root)
    board = read_board(place)
    capabilities = read_capabilities(root=root, environments=environments)
    findings = [
        _board(capabilities),
        *_expectations(board),
        *_power(capabilities),
        *_throttle(capabilities),
        *_governors(place),
        _pressure(place),
        *_surroundings(place, board),
        *_swap(place),
    ]
    if not place.recorded:
        findings += [_python(), *_runtimes(capabilities.runtimes), *_load(place, board), *_desktop(place)]
        findings += [_memory(place), _disk(cache_folder())]
    return findings


def _board(capabilities: Capabilities) -> Finding:
    known = capabilities.profile != "generic"
    return Finding(
        "board",
        "ok",
        f"{capabilities.name}, {'profile ' + capabilities.profile if known else 'no profile of its own'}",
        None if known else "nothing has to be done: an unknown board works from what is found",
    )


def _expectations(board: Board) -> list[Finding]:
    missing = sorted(set(board.profile.expect.features) - set(board.features()))
    findings = []
    if missing:
        text = f"{board.profile.id} should have {', '.join(missing)}, which the kernel does not list"
        findings.append(
            Finding("instructions", "warn", text, "a 32-bit or old kernel hides them; use a 64-bit one")
        )
    if board.topology.offline:
        text = f"CPUs {format_cpu_list(board.topology.offline)} are offline"
        findings.append(
            Finding("cpus", "warn", text, "a power mode may hold them; see nvpmodel or cpu*/online")
        )
    return findings


def _power(capabilities: Capabilities) -> list[Finding]:
    usable = [each for each in capabilities.power if each.available]
    findings = [Finding("power", "ok", f"{each.source} meters the {each.scope}") for each in usable]
    reasons = [f"{each.source}: {each.reason}" for each in capabilities.power if not each.available]
    forbidden = [reason for reason in reasons if "root only" in reason or "permission" in reason]
    findings += [
        Finding("power", "warn", reason, "let the agent's user read it (udev rule, tmpfiles.d or group)")
        for reason in forbidden
    ]
    if not usable:
        text = f"no power sensor, so energy is not measured ({'; '.join(reasons) or 'nothing found'})"
        findings.append(Finding("power", "warn", text, "add a meter outside, such as a smart plug"))
    return findings


def _throttle(capabilities: Capabilities) -> list[Finding]:
    usable = [each.source for each in capabilities.throttle if each.available]
    if usable:
        return [Finding("throttling", "ok", f"seen by {', '.join(usable)}")]
    reasons = [f"{each.source}: {each.reason}" for each in capabilities.throttle]
    text = f"cannot be seen here ({'; '.join(reasons) or 'no counter or flag'}); results will say so"
    return [Finding("throttling", "warn", text)]


def _governors(place: Place) -> list[Finding]:
    base = place.path(CPU_FOLDER, "cpufreq")
    found: dict[str, list[str]] = {}
    for name in entries(base):
        if name.startswith("policy"):
            found.setdefault(read_text(base / name / "scaling_governor") or "unreadable", []).append(name)
    if not found:
        return [Finding("governor", "ok", "no cpufreq: the clock is not ours to see or set")]
    other = {governor: names for governor, names in found.items() if governor != "performance"}
    if not other:
        return [Finding("governor", "ok", "performance")]
    text = "; ".join(f"{governor} on {', '.join(names[:4])}" for governor, names in other.items())
    remedy = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
    return [Finding("governor", "warn", f"{text}: clocks will move within measurements", remedy)]


def _pressure(place: Place) -> Finding:
    if read_pressure_seconds(place.root) is not None:
        return Finding("pressure", "ok", "/proc/pressure tells when tasks wait for a CPU")
    remedy = "boot with psi=1; a container needs a kernel and a runtime that show /proc/pressure"
    return Finding("pressure", "warn", "no /proc/pressure/cpu: stalls by others cannot be seen", remedy)


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


def _swap(place: Place) -> list[Finding]:
    swap = (read_text(place.path("proc/swaps")) or "").splitlines()[1:]
    if not swap or read_swapped_pages(place.root) is None:
        return []
    devices = ", ".join(line.split()[0] for line in swap)
    return [
        Finding(
            "swap", "warn", f"swap is on ({devices}): a model that does not fit will crawl", "sudo swapoff -a"
        )
    ]


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _runtimes(runtimes: list[RuntimeInfo]) -> list[Finding]:
    findings = [_runtime(each) for each in runtimes]
    if not any(each.available for each in runtimes):
        remedy = "pip install onnxruntime, or name an interpreter that has a runtime under `runtimes:`"
        findings.append(Finding("runtimes", "fail", "no runtime works here: nothing can be measured", remedy))
    return findings


def _runtime(runtime: RuntimeInfo) -> Finding:
    name = f"{runtime.name} {runtime.version}" if runtime.version else runtime.name
    if runtime.available:
        return Finding("runtime", "ok", f"{name} in {runtime.environment} ran a model")
    return Finding("runtime", "warn", f"{name} in {runtime.environment}: {runtime.reason}", _remedy(runtime))


def _remedy(runtime: RuntimeInfo) -> str | None:
    """Name the trap of extension modules that were built for NumPy 1 and meet NumPy 2, or the other way."""
    reason = runtime.reason or ""
    if "_ARRAY_API" in reason or "compiled using NumPy 1" in reason or "numpy.core" in reason:
        return (
            "its modules need another NumPy (tflite-runtime 2.14: numpy<2); give it an environment of its own"
        )
    return None


def _load(place: Place, board: Board) -> list[Finding]:
    """Watch the CPUs for half a second in which this process sleeps."""
    before = read_cpu_time(place.root, board.topology.online)
    time.sleep(LOAD_WINDOW_SECONDS)
    after = read_cpu_time(place.root, board.topology.online)
    if before is None or after is None:
        return [Finding("load", "warn", "/proc/stat does not list all CPUs: load by others cannot be seen")]
    busy = (after.busy - before.busy) / LOAD_WINDOW_SECONDS
    if busy <= FOREIGN_LOAD_BOUND * len(board.topology.online):
        return [Finding("load", "ok", f"others use {busy:.0%} of one CPU")]
    text = f"others use {busy:.0%} of one CPU: windows that they disturb are void"
    return [Finding("load", "warn", text, "stop other work while measuring; `top` shows it")]


def _desktop(place: Place) -> list[Finding]:
    running = {
        name
        for entry in entries(place.path("proc"))
        if entry.isdecimal() and (name := read_text(place.path("proc", entry, "comm"))) in _DESKTOPS
    }
    if not running:
        return []
    text = f"a desktop session is running ({', '.join(sorted(running))})"
    return [Finding("desktop", "warn", text, "sudo systemctl isolate multi-user.target")]


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
