"""RAPL: the energy counters of x86 packages, from the kernel's powercap tree.

Adds packages and their DRAM. Leaves out what would count twice: core and uncore (branches of the package),
psys (the platform above it), and the twin of each package under intel-rapl-mmio, which is read only where there is
no intel-rapl. AMD processors (Zen and later) have the same tree, with packages and cores only.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.read import entries, read, read_int, read_text
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.host.place import Place
    from edgedyno.agent.host.profile import PowerRule

UPDATE_SECONDS = 0.001  # Intel SDM volume 3, RAPL: the counters are updated about every millisecond.
STEP_JOULES = 61e-6  # 1/2^14 J, the usual unit in MSR_RAPL_POWER_UNIT.
# Zone numbers are hexadecimal: intel-rapl:a is package-10 in prometheus/procfs' fixtures.
_ZONE = re.compile(r"(intel-rapl|intel-rapl-mmio):[0-9a-f]+(:[0-9a-f]+)?")
_PREFERRED, _TWIN = "intel-rapl", "intel-rapl-mmio"
_ROOT_ONLY = (
    "energy_uj may be read by root only (0400 since Linux 5.10); grant it with a udev rule or tmpfiles.d"
)


class Zone(Struct, frozen=True):
    """A powercap zone whose energy counts."""

    folder: str
    name: str
    wrap_joules: float | None


class Rapl:
    """RAPL counters, summed over packages and their DRAM."""

    spec = SensorSpec(source="rapl", scope="package", kind="counter", min_window_seconds=1.0)

    def __init__(self, place: Place, _rule: PowerRule | None = None) -> None:
        self._base = place.path("sys/class/powercap")
        self._zones: list[Zone] | None = None
        self._last: list[float] | None = None
        self._joules = 0.0

    def probe(self) -> Available | Unavailable:
        """Look for zones and read each once."""
        zones = find_zones(self._base)
        if not zones:
            return Unavailable("no RAPL zone in /sys/class/powercap")
        if not any(zone.name.startswith("package") for zone in zones):
            return Unavailable("RAPL has no package zone here")
        values = _read_zones(zones)
        if isinstance(values, Unavailable):
            return values
        self._zones = zones
        has_dram = any(zone.name.endswith("dram") for zone in zones)
        return Available(
            scope="package and DRAM" if has_dram else self.spec.scope,
            rails=[zone.name for zone in zones],
            period_seconds=UPDATE_SECONDS,
            resolution=STEP_JOULES * len(zones),
        )

    def read(self) -> Reading | Unavailable:
        """Return joules since the first reading."""
        if self._zones is None:
            probed = self.probe()
            if isinstance(probed, Unavailable):
                return probed
        zones = self._zones or []
        before = time.monotonic()
        values = _read_zones(zones)
        at_seconds = (before + time.monotonic()) / 2
        if isinstance(values, Unavailable):
            return values
        grown = [
            _grown(zone, old, new) for zone, old, new in zip(zones, self._last or values, values, strict=True)
        ]
        self._last = values
        if None in grown:
            self._joules = 0.0
            return Unavailable("a RAPL counter went backwards and states no max_energy_range_uj")
        self._joules += sum(step for step in grown if step is not None)
        return Reading(at_seconds, self._joules, tuple(values))


def _grown(zone: Zone, old: float, new: float) -> float | None:
    """Return what a counter has grown by, over one wrap at most. At 100 W a wrap takes some 40 minutes."""
    if new >= old:
        return new - old
    return None if zone.wrap_joules is None else zone.wrap_joules - old + new


def find_zones(base: Path) -> list[Zone]:
    """Return the zones that add up to packages and DRAM, each counted once."""
    return _zones_of(base, _PREFERRED) or _zones_of(base, _TWIN)


def _zones_of(base: Path, driver: str) -> list[Zone]:
    zones = []
    for entry in entries(base):
        match = _ZONE.fullmatch(entry)
        if match is None or match[1] != driver:
            continue
        name = read_text(base / entry / "name")
        if name and (name == "dram" if match[2] else name.startswith("package")):
            wrap = read_int(base / entry / "max_energy_range_uj")
            label = f"{entry.removeprefix(driver + ':')} dram" if match[2] else name
            zones.append(Zone(str(base / entry), label, wrap / 1e6 if wrap and wrap > 0 else None))
    return zones


def _read_zones(zones: list[Zone]) -> list[float] | Unavailable:
    values = []
    for zone in zones:
        content = read(f"{zone.folder}/energy_uj")
        if content.reason == "permission denied":
            return Unavailable(_ROOT_ONLY)
        if content.text is None or not content.text.isdecimal():
            return Unavailable(
                f"energy_uj of {zone.name}: {content.reason or f'not a count: {content.text!r}'}"
            )
        values.append(int(content.text) / 1e6)
    return values
