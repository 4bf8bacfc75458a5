"""Record a board as a redacted tree that runs as a test fixture: files, tools' output, and what was taken.

Takes only what is listed here, never a whole folder of /proc or /etc. Not responsible for what is read from it.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import re
import socket
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.place import CAPTURE_FILE, locate
from edgedyno.agent.host.quota import quota_folders
from edgedyno.agent.host.read import ABSENT, is_folder, is_there, read_bytes, read_text
from edgedyno.agent.host.redact import Redactor
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.tools import Printed

_CPU = "sys/devices/system/cpu"
_NODE = "sys/devices/system/node"
PATTERNS = (
    *(
        "proc/cpuinfo",
        "proc/meminfo",
        "proc/version",
        "proc/stat",
        "proc/loadavg",
        "proc/vmstat",
        "proc/swaps",
    ),
    *(
        "proc/pressure/*",
        "proc/sys/kernel/osrelease",
        "proc/sys/kernel/perf_event_paranoid",
        "proc/self/cgroup",
    ),
    *("proc/device-tree/compatible", "proc/device-tree/model", "proc/1/environ"),
    *(
        "etc/os-release",
        "usr/lib/os-release",
        "etc/nv_tegra_release",
        "etc/nvpmodel.conf",
        "var/lib/nvpmodel/status",
    ),
    *("etc/systemd/system/timers.target.wants/*.timer", ".dockerenv", "run/.containerenv"),
    *(f"{_CPU}/{name}" for name in ("online", "offline", "present", "possible", "isolated", "smt/*")),
    *(f"{_CPU}/{name}" for name in ("intel_pstate/*", "amd_pstate/*", "cpufreq/boost", "cpufreq/policy*/*")),
    *(f"{_CPU}/cpu[0-9]*/{name}" for name in ("online", "cpu_capacity", "topology/*_list", "topology/*_id")),
    *(f"{_CPU}/cpu[0-9]*/{name}" for name in ("regs/identification/*", "thermal_throttle/*_count")),
    *(f"{_CPU}/cpu[0-9]*/cache/index*/{name}" for name in ("level", "type", "size", "shared_cpu_list")),
    *(f"{_NODE}/{name}" for name in ("online", "has_*", "node*/cpulist", "node*/meminfo", "node*/distance")),
    *("sys/devices/cpu_core/cpus", "sys/devices/cpu_atom/cpus"),
    *(f"sys/class/thermal/thermal_zone*/{name}" for name in ("type", "temp", "policy", "trip_point_*")),
    *(f"sys/class/thermal/cooling_device*/{name}" for name in ("type", "cur_state", "max_state")),
    *(
        "sys/class/hwmon/hwmon*/*",
        "sys/class/hwmon/hwmon*/device/power1_*",
        "sys/class/hwmon/hwmon*/device/name",
    ),
    *("sys/class/powercap/*/*", "sys/class/devfreq/*/*"),
    *(
        f"sys/class/power_supply/*/{name}"
        for name in ("type", "online", "status", "*_now", "*_max", "*_min", "scope")
    ),
    *(
        f"sys/class/dmi/id/{name}"
        for name in ("sys_vendor", "product_name", "board_vendor", "board_name", "bios_*")
    ),
    "sys/class/dmi/id/chassis_type",
    *("sys/bus/i2c/drivers/ina*/*/name", "sys/bus/i2c/drivers/ina*/*/hwmon/hwmon*/*"),
    "sys/bus/i2c/drivers/ina*/*/iio:device*/*",
    *("sys/kernel/debug/rknpu/load", "sys/kernel/debug/rknpu/version"),
    "sys/kernel/mm/transparent_hugepage/enabled",
    *("sys/firmware/acpi/platform_profile", "sys/devices/platform/soc/soc:firmware/get_throttled"),
    *("sys/fs/cgroup/cgroup.controllers", "sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load"),
)
_GROUP_FILES = (
    "cpu.max",
    "cpu.stat",
    "cpuset.cpus.effective",
    "memory.max",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
)
# Never taken, whatever pattern they match.
_NEVER = re.compile(
    r"(^|[_.-])(serial\w*|uuid|asset_tag|wwid|wwn|address|uevent|uniq|machine.id)$", re.IGNORECASE
)
_REGULAR_ONLY = ("autosuspend_delay_ms", "control", "wakeup*")
TOOLS: tuple[tuple[str, ...], ...] = (
    ("uname", "-m"),
    ("vcgencmd", "get_throttled"),
    ("vcgencmd", "pmic_read_adc"),
    ("vcgencmd", "measure_temp"),
    ("vcgencmd", "measure_clock", "arm"),
    ("vcgencmd", "measure_volts"),
    ("nvpmodel", "-q"),
    ("ipmitool", "dcmi", "power", "reading"),
    ("ipmitool", "sdr"),
    ("tegrastats",),
)
ENDLESS_TOOLS = (("tegrastats",),)  # print lines for ever; one is enough
_MOST_BYTES = 1 << 20


class Captured(Struct, frozen=True):
    """What a recording holds; kept beside it as JSON."""

    files: list[str]
    failed: dict[str, str]
    """Files that are there and could not be read, with the reason; reading the recording fails the same way."""
    redacted: dict[str, list[str]]
    """Kinds of things that were taken out, by file."""
    tools: dict[str, str]
    """What each command came to: the file with its output, or the reason why there is none."""

    def lines(self) -> Iterator[str]:
        """Say what was recorded, for people."""
        yield f"taken    {len(self.files)} files"
        for name, result in self.tools.items():
            yield f"tool     {name}: {result}"
        for path, reason in self.failed.items():
            yield f"failed   {path}: {reason}"
        for path, kinds in self.redacted.items():
            yield f"redacted {path}: {', '.join(kinds)}"


def capture(root: Path, folder: Path) -> Captured:
    """Record the board at `root` in a new folder. Raises ConfigError where the folder holds something already."""
    place = locate(root)
    if is_there(folder) and (not is_folder(folder) or any(folder.iterdir())):
        raise ConfigError(
            f"{folder}: found something there, expected a new or empty folder", code="capture.folder"
        )
    recorder = _Recorder(place, folder)
    for path in _paths(place):
        recorder.take_file(path)
    for command in TOOLS:
        endless = command in ENDLESS_TOOLS
        recorder.take_tool(
            command, place.tools.first_line(*command) if endless else place.tools.run(*command)
        )
    return recorder.finish()


def _paths(place: Place) -> list[str]:
    """Return the files to take, relative to the root."""
    root = str(place.root)
    found: set[str] = set()
    for pattern in PATTERNS:  # pathlib's glob has no root: its answers would have to be cut
        found.update(glob.iglob(pattern, root_dir=root))  # noqa: PTH207
    for folder in quota_folders(place.root) or []:
        own = os.path.relpath(folder, root)
        found.update(f"{own}/{name}" for name in _GROUP_FILES if is_there(folder / name))
    return sorted(path for path in found if _is_wanted(place, path))


def _is_wanted(place: Place, path: str) -> bool:
    name = path.rpartition("/")[2]
    if _NEVER.search(name) or any(fnmatch.fnmatch(name, each) for each in _REGULAR_ONLY):
        return False
    return not is_folder(place.path(path))


class _Recorder:
    """Writes one recording."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
        self._folder = folder
        self._redactor = Redactor(_hosts(place), _users(place))
        self._files: list[str] = []
        self._failed: dict[str, str] = {}
        self._redacted: dict[str, list[str]] = {}
        self._tools: dict[str, str] = {}
        (folder / "rootfs").mkdir(parents=True, exist_ok=True)

    def take_file(self, path: str) -> None:
        """Copy one file, redacted; one that cannot be read is remembered with the reason."""
        kept = self._redactor.apply(path).text
        data, reason = read_bytes(self._place.path(path))
        if data is None:
            if reason != ABSENT:
                self._failed[f"/{kept}"] = reason or "cannot be read"
            return
        # Latin-1 maps every byte to a character and back: what is not redacted stays as it was.
        text = _cut(path, data[:_MOST_BYTES].decode("latin-1"))
        if text is None:
            return
        self._write(f"rootfs/{kept}", f"/{kept}", text)
        self._files.append(f"/{kept}")

    def take_tool(self, command: tuple[str, ...], printed: Printed) -> None:
        """Keep what a tool printed."""
        text, reason = printed
        name = " ".join(command)
        if text is None:
            self._tools[name] = reason or "printed nothing"
            return
        file = "_".join(word.lstrip("-") for word in command) + ".txt"
        self._write(f"bin-output/{file}", name, text)
        self._tools[name] = f"bin-output/{file}"

    def _write(self, path: str, shown: str, text: str) -> None:
        redacted = self._redactor.apply(text)
        if redacted.kinds:
            self._redacted[shown] = list(redacted.kinds)
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        encoding = "latin-1" if path.startswith("rootfs/") else "utf-8"
        target.write_bytes(redacted.text.encode(encoding, "replace"))

    def finish(self) -> Captured:
        """Write down what was taken."""
        made = Captured(self._files, self._failed, self._redacted, self._tools)
        described = {
            "files": made.files,
            "failed": made.failed,
            "redacted": made.redacted,
            "tools": made.tools,
        }
        (self._folder / CAPTURE_FILE).write_text(json.dumps(described, indent=1) + "\n", "utf-8")
        return made


def _cut(path: str, text: str) -> str | None:
    """Keep of a file what the readers use; None: nothing of it."""
    if path == "proc/1/environ":  # whatever else stands there is none of our business
        match = re.search(r"(?:^|\0)(container=[^\0]*)", text)
        return match[1] if match else None
    if path == "proc/stat":
        return "".join(
            line for line in text.splitlines(keepends=True) if line.startswith(("cpu", "ctxt", "btime"))
        )
    return text


def _hosts(place: Place) -> set[str]:
    names = {read_text(place.path("etc/hostname")) or ""}
    if not place.recorded:
        names.add(socket.gethostname())
    return {part for name in names for part in (name, name.partition(".")[0]) if part}


def _users(place: Place) -> set[str]:
    """Return the people of this machine: the system's own users name nobody."""
    users = set()
    for line in (read_text(place.path("etc/passwd")) or "").splitlines():
        name, _, number, *_ = [*line.split(":"), "", "", ""]
        if number.isdecimal() and 1000 <= int(number) < 65000:  # noqa: PLR2004 - login.defs(5): UID_MIN and above
            users.add(name)
    if not place.recorded:
        users.update(os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER"))
    return users - {""}
