"""The circumstances of all trials on one board, each quantity in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedyno.core.result import Result

GIGA = 1e9


def describe_conditions(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return name and value of each condition that is known; a span where it changed between trials."""
    conditions = [result.conditions for result in results]
    lines = [
        ("kernel", _names(one.kernel for one in conditions)),
        ("agent", _names(one.agent_version for one in conditions)),
        ("runtimes", _names(f"{one.runtime} {one.runtime_version or ''}".strip() for one in results)),
        ("governor", _names(name for one in conditions for name in one.governor.values())),
        ("power mode", _names(one.power_mode for one in conditions)),
        ("throttled", _names(_yes_no(one.throttled) for one in conditions)),
        ("load average", _span(one.load for one in conditions)),
    ]
    for sensor in sorted({name for one in conditions for name in one.temperature_celsius}):
        span = _span(one.temperature_celsius.get(sensor) for one in conditions)
        lines.append((f"temperature {sensor}", f"{span} °C"))
    for clock in sorted({name for one in conditions for name in one.frequency_hz}):
        hertz = (one.frequency_hz.get(clock) for one in conditions)
        lines.append((f"clock {clock}", f"{_span(None if hz is None else hz / GIGA for hz in hertz)} GHz"))
    kinds = sorted({name for one in conditions for name in one.pressure})
    lines += [(f"pressure {kind}", _span(one.pressure.get(kind) for one in conditions)) for kind in kinds]
    return [(name, value) for name, value in lines if value]


def _names(values: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))


def _yes_no(flag: bool | None) -> str | None:  # noqa: FBT001 (a value, not a switch)
    return None if flag is None else "yes" if flag else "no"


def _span(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = (f"{float(f'{value:.3g}'):g}" for value in (min(known), max(known)))
    return low if low == high else f"{low} to {high}"
