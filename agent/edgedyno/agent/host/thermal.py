"""Temperatures of the board's thermal zones and of its processor's own sensors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.read import entries, read_float, read_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

# PMIC-Die of a Jetson Nano always says 50 or 100 degrees; iwlwifi is the radio, not the SoC.
IGNORED_ZONES = frozenset({"PMIC-Die", "iwlwifi", "iwlwifi_1"})
_CPU_HWMON = frozenset({"coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal"})
_PLAUSIBLE = (-40.0, 150.0)  # Zones that are switched off give -256 or 0xffff on some kernels.


def find_temperature_files(root: Path, *, ignored: Collection[str] = IGNORED_ZONES) -> dict[str, str]:
    """Return the files that give a temperature now, by a name that is unique on the board."""
    zones = _zone_files(root, ignored)
    return zones or _hwmon_files(root)


def _zone_files(root: Path, ignored: Collection[str]) -> dict[str, str]:
    base = root / "sys/class/thermal"
    files: dict[str, str] = {}
    for zone in entries(base):
        kind = read_text(base / zone / "type") if zone.startswith("thermal_zone") else None
        if kind and kind not in ignored:
            path = f"{base}/{zone}/temp"
            if _degrees(path) is not None:
                files[kind if kind not in files else f"{kind} {zone.removeprefix('thermal_zone')}"] = path
    return files


def _hwmon_files(root: Path) -> dict[str, str]:
    base = root / "sys/class/hwmon"
    files = {}
    for name in entries(base):
        chip = read_text(base / name / "name")
        if chip in _CPU_HWMON:
            for file in entries(base / name):
                if re.fullmatch(r"temp\d+_input", file) and _degrees(f"{base}/{name}/{file}") is not None:
                    label = read_text(base / name / file.replace("_input", "_label"))
                    files[f"{chip} {label or file.removesuffix('_input')}"] = f"{base}/{name}/{file}"
    return files


def read_temperatures(files: Mapping[str, str]) -> dict[str, float]:
    """Read temperatures in degrees Celsius; a zone that does not answer now is left out."""
    values = {name: _degrees(path) for name, path in files.items()}
    return {name: value for name, value in values.items() if value is not None}


def _degrees(path: str) -> float | None:
    value = read_float(path)
    if value is None or not _PLAUSIBLE[0] <= value / 1000 <= _PLAUSIBLE[1]:
        return None
    return value / 1000
