"""What tells of throttling on a board: each source is found once and read often.

A source gives counters (which must not move) or flags (which must stay clear). Not responsible for judging.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgedyno.agent.host.place import Place
from edgedyno.agent.host.read import entries, is_there, read, read_int, read_text
from edgedyno.agent.host.tools import NoTools
from edgedyno.agent.host.topology import CPU_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Bits of get_throttled: raspberrypi/documentation, computers/os/graphics-utilities.adoc.
PI_NOW = {0: "undervoltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
PI_STICKY_SHIFT = 16
SINCE_BOOT = "since boot"
# Asked at 2 Hz or faster while measuring. A process each time costs some 5 ms; the sticky bits cover what lies between.
TOOL_PERIOD_SECONDS = 0.5
_CPU_COOLER = re.compile(r"cpufreq|Processor|cpu-throttle|cpuidle|intel_powerclamp", re.IGNORECASE)


class ThrottleReading(NamedTuple):
    """Counters that only grow, and flags that are set right now."""

    counters: dict[str, int]
    flags: frozenset[str]


class ThrottleProbe(Protocol):
    """One source of throttling information."""

    source: str
    reason: str | None
    """Why it cannot be read; None where it can."""

    def read(self) -> ThrottleReading:
        """Read it now; what cannot be read this time is left out."""


class Counters:
    """Files that count throttling events."""

    def __init__(self, source: str, files: dict[str, str], reason: str | None) -> None:
        self.source = source
        self.reason = reason
        self._files = files

    def read(self) -> ThrottleReading:
        """Read all counters."""
        values = {name: read_int(path) for name, path in self._files.items()}
        return ThrottleReading(
            {name: value for name, value in values.items() if value is not None}, frozenset()
        )


class Flags:
    """Files that are not zero while something is being throttled."""

    def __init__(self, source: str, files: dict[str, str], reason: str | None) -> None:
        self.source = source
        self.reason = reason
        self._files = files

    def read(self) -> ThrottleReading:
        """Read all flags."""
        return ThrottleReading({}, frozenset(name for name, path in self._files.items() if read_int(path)))


class PiFirmware:
    """The Raspberry Pi firmware's get_throttled bits, from sysfs or from vcgencmd."""

    source = "get_throttled"

    def __init__(self, place: Place) -> None:
        self._file = place.path("sys/devices/platform/soc/soc:firmware/get_throttled")
        self._place = place
        self._last = ThrottleReading({}, frozenset())
        self._read_at = float("-inf")
        self._by_file = read(self._file).text is not None
        self.reason = None if self._bits() is not None else self._why()

    def _bits(self) -> int | None:
        if self._by_file:
            # Hexadecimal digits without 0x (raspberrypi/linux drivers/firmware/raspberrypi.c).
            return _hexadecimal(read_text(self._file))
        return parse_get_throttled(self._place.tools.run("vcgencmd", "get_throttled").text)

    def _why(self) -> str:
        return (
            self._place.tools.run("vcgencmd", "get_throttled").reason or "vcgencmd printed no throttled=0x…"
        )

    def read(self) -> ThrottleReading:
        """Read the bits; vcgencmd is asked at most every half second."""
        now = time.monotonic()
        if self._by_file or now - self._read_at >= TOOL_PERIOD_SECONDS:
            bits = self._bits()
            self._read_at = now
            self._last = decode_throttled(bits) if bits is not None else ThrottleReading({}, frozenset())
        return self._last


def _hexadecimal(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None


def parse_get_throttled(text: str | None) -> int | None:
    """Return the bits of `throttled=0x50005`, or None for any other text."""
    match = re.search(r"throttled=(0x[0-9a-fA-F]+)", text or "")
    return int(match[1], 16) if match else None


def decode_throttled(bits: int) -> ThrottleReading:
    """Split the firmware's bits: what holds now are flags; what has held since boot counts as 0 or 1."""
    flags = frozenset(name for bit, name in PI_NOW.items() if bits >> bit & 1)
    seen = {f"{name} {SINCE_BOOT}": bits >> (bit + PI_STICKY_SHIFT) & 1 for bit, name in PI_NOW.items()}
    return ThrottleReading(seen, flags)


def find_throttle_probes(
    place: Place, cpus: Iterable[int], *, expected: Iterable[str] = ()
) -> list[ThrottleProbe]:
    """Return what this board has, and with a reason what its profile says it should have."""
    found = [
        probe
        for probe in (_x86_counts(place, cpus), _soctherm(place), _pi_voltage(place), _cpu_coolers(place))
        if probe is not None
    ]
    wanted = set(expected)
    if _is_raspberry_pi(place):
        found.append(PiFirmware(place))
    have = {probe.source for probe in found}
    return [*found, *(Flags(source, {}, "no such file on this kernel") for source in sorted(wanted - have))]


# What one heartbeat may read: a server has two counters for each of 128 CPUs, and each package counts for all.
_LIVE_CPUS = range(8)


def file_probes(root: Path) -> list[ThrottleProbe]:
    """Return the sources that are files, for an idle board: none of them starts a program."""
    place = Place(root, NoTools())
    found = find_throttle_probes(place, _LIVE_CPUS)
    return [probe for probe in found if probe.reason is None]


def _is_raspberry_pi(place: Place) -> bool:
    return (read_text(place.path("proc/device-tree/compatible")) or "").startswith("raspberrypi,")


def _x86_counts(place: Place, cpus: Iterable[int]) -> ThrottleProbe | None:
    files = {}
    for cpu in cpus:
        for kind in ("core", "package"):
            path = place.path(CPU_FOLDER, f"cpu{cpu}", "thermal_throttle", f"{kind}_throttle_count")
            if is_there(path):
                files[f"cpu{cpu} {kind}"] = str(path)
    return Counters("thermal_throttle", files, None) if files else None


def _soctherm(place: Place) -> ThrottleProbe | None:
    files = {
        name: path
        for folder in _hwmon_named(place, "soctherm_oc")
        for name in entries(folder)
        if name.endswith("_event_cnt") and read_int(path := f"{folder}/{name}") is not None
    }
    return Counters("soctherm_oc", files, None) if files else None


def _pi_voltage(place: Place) -> ThrottleProbe | None:
    files = {
        f"undervoltage alarm {number}": f"{folder}/in0_lcrit_alarm"
        for number, folder in enumerate(_hwmon_named(place, "rpi_volt"))
    }
    return Flags("rpi_volt", files, None) if files else None


def _cpu_coolers(place: Place) -> ThrottleProbe | None:
    files = {}
    base = place.path("sys/class/thermal")
    for name in entries(base):
        kind = read_text(base / name / "type") if name.startswith("cooling_device") else None
        if kind and _CPU_COOLER.search(kind) and read_int(base / name / "cur_state") is not None:
            files[f"{kind} {name.removeprefix('cooling_device')}"] = f"{base}/{name}/cur_state"
    return Flags("cooling_device", files, None) if files else None


def _hwmon_named(place: Place, wanted: str) -> list[str]:
    base = place.path("sys/class/hwmon")
    return [f"{base}/{name}" for name in entries(base) if read_text(base / name / "name") == wanted]
