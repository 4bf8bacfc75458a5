"""Quantities as users write them (`100 ms`, `15 W`, `1 pt`, `2%`) and as SI floats.

A type's dimension travels in its annotation, so documents, schemas and errors all read it from one place.
"""

from __future__ import annotations

import math
import re
from typing import Annotated

from msgspec import Meta

from edgedyno.core.errors import ConfigError

# Factors to the base unit, which comes first. 1 pt is one percentage point: 0.01 of a ratio.
UNITS: dict[str, dict[str, float]] = {
    "time": {
        "s": 1.0,
        "ms": 1e-3,
        "us": 1e-6,
        "µs": 1e-6,
        "ns": 1e-9,
        "min": 60.0,
        "h": 3600.0,
        "d": 86400.0,
    },
    "power": {"W": 1.0, "mW": 1e-3, "kW": 1e3},
    "energy": {"J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "kJ": 1e3, "Wh": 3600.0},
    "ratio": {"": 1.0, "%": 0.01, "pt": 0.01},
    "size": {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "rate": {"/s": 1.0, "fps": 1.0, "Hz": 1.0},
}
EXAMPLES = {
    "time": "100 ms",
    "power": "15 W",
    "energy": "50 mJ",
    "ratio": "2%",
    "size": "64 MiB",
    "rate": "30 fps",
}

_LONGEST = 64
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


def parse_quantity(text: str | float, dimension: str) -> float:
    """Return `text` in the base unit of `dimension`; a bare number is taken to be in the base unit.

    Raises ConfigError naming the units that would do.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ConfigError(_expected(text, dimension), code="units.invalid")
    if not isinstance(text, str):
        return _finite(float(text), text, dimension)
    # Looking for a number in a long text takes time that grows with its square.
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or match[2] not in ("", *UNITS[dimension]):
        raise ConfigError(_expected(text, dimension), code="units.invalid")
    factor = UNITS[dimension][match[2]] if match[2] else 1.0
    return _finite(float(match[1]) * factor, text, dimension)


def _finite(value: float, text: object, dimension: str) -> float:
    if not math.isfinite(value):
        raise ConfigError(_expected(text, dimension), code="units.invalid")
    return value


def _expected(found: object, dimension: str) -> str:
    units = ", ".join(unit for unit in UNITS[dimension] if unit)
    return f"found {found!r}, expected a {dimension} such as {EXAMPLES[dimension]!r} (units: {units})"


def format_quantity(value: float, dimension: str) -> str:
    """Write a quantity as a user would: `50%`, `1 s`, `15 W`."""
    if dimension == "time":
        return format_seconds(value) if value else "0 s"
    if dimension == "ratio":
        return f"{100 * value:g}%"
    return f"{value:g} {next(iter(UNITS[dimension]))}"


def format_seconds(seconds: float) -> str:
    """Write a duration with three significant digits and the unit that suits it."""
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= factor:
            return f"{float(f'{seconds / factor:.3g}'):g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def format_bytes(size_bytes: float) -> str:
    """Write a size with one decimal and a decimal unit."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def _dimension(name: str) -> Meta:
    example = EXAMPLES[name]
    return Meta(
        extra={"dimension": name},
        extra_json_schema={"examples": [example], "x-dimension": name},
    )


Seconds = Annotated[float, _dimension("time")]
Watts = Annotated[float, _dimension("power")]
Joules = Annotated[float, _dimension("energy")]
Ratio = Annotated[float, _dimension("ratio")]
Bytes = Annotated[float, _dimension("size")]
PerSecond = Annotated[float, _dimension("rate")]
