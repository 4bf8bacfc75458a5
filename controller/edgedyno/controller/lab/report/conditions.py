"""The circumstances of all trials on one board, each quantity in one line.

Whatever a result's conditions carry is shown, by the name and the unit that the field's name states, so that a new
field needs nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.controller.lab.language import phrase, retell, say
from edgedyno.controller.lab.verdict import quantities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgedyno.core.result import Result

GIGA = 1e9
# Told apart from the others: what the trial ran with, not what happened to it.
FIRST = ("kernel", "agent_version", "governor", "power_mode", "throttled", "load")
# What fields are called; others go by their own name without the unit.
TITLES = {
    "runtimes": phrase("runtimes"),
    "kernel": phrase("kernel"),
    "agent_version": phrase("agent version"),
    "governor": phrase("governor"),
    "power_mode": phrase("power mode"),
    "throttled": phrase("throttled"),
    "throttle_counts": phrase("throttle counters moved by"),
    "load": phrase("load"),
    "frequency_hz": phrase("lowest clock"),
    "frequency_before_hz": phrase("clock before"),
    "frequency_after_hz": phrase("clock after"),
    "frequency_max_hz": phrase("clock limit"),
    "temperature_celsius": phrase("temperature"),
    "pressure": phrase("pressure"),
    "foreign_cpu_ratio": phrase("foreign CPU time on the used cores"),
    "other_cores_ratio": phrase("foreign CPU time on all other cores"),
    "run_delay_ratio": phrase("waiting for a CPU"),
    "voluntary_switches": phrase("voluntary context switches"),
    "involuntary_switches": phrase("involuntary context switches"),
    "major_faults": phrase("major page faults"),
    "steal_ratio": phrase("time taken by the hypervisor"),
    "swap_pages": phrase("swapped pages"),
    "quota_throttles": phrase("stops by the CPU quota"),
    "rounds": phrase("rounds"),
    "void_rounds": phrase("void rounds"),
    "gating_seconds": phrase("waited to cool down"),
    "gating_reason": phrase("not cool because"),
    "environment": phrase("runtime environment"),
    "computing_threads": phrase("computing threads"),
    "waiting_cpu": phrase("CPU time of waiting threads"),
    "busy_cpus": phrase("busy CPUs"),
    "input": phrase("input image"),
}
# By the last word of a field's name; what has none of them is a plain number.
UNITS: dict[str, Callable[[float], str]] = {
    "hz": lambda value: f"{_short(value / GIGA)} GHz",
    "celsius": lambda value: f"{_short(value)} °C",
    "ratio": quantities.format_percent,
    "seconds": lambda value: quantities.format_seconds(value) if value else "0 s",
    "bytes": quantities.format_bytes,
    "watts": quantities.format_watts,
}


def describe_conditions(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return name and value of each condition that is known; a span where it changed between trials."""
    runtimes = (f"{one.runtime} {one.runtime_version or ''}".strip() for one in results)
    lines = {say(TITLES["runtimes"]): _joined(runtimes)}
    known = [_flat(msgspec.to_builtins(result.conditions)) for result in results]
    names = dict.fromkeys(name for one in known for name in one)
    for name in sorted(names, key=lambda name: FIRST.index(name[0]) if name[0] in FIRST else len(FIRST)):
        values = [one[name] for one in known if one.get(name) is not None]
        lines[_title(name)] = _write(name[0], values)
    return [(name, value) for name, value in lines.items() if value]


def _flat(conditions: dict[str, Any]) -> dict[tuple[str, ...], Any]:
    """Return (field, key) or (field,) with its value; a governor's or a streams' keys say nothing to a reader."""
    flat: dict[tuple[str, ...], Any] = {}
    for field, value in {**conditions, **conditions.get("extra", {})}.items():
        if field == "extra":
            continue
        if field == "governor":
            flat[(field,)] = _joined(value.values())
        elif isinstance(value, dict):
            flat |= {(field, str(key)): each for key, each in value.items()}
        else:
            flat[(field,)] = value
    return flat


def _title(name: tuple[str, ...]) -> str:
    field, *keys = name
    if field in TITLES:
        return " ".join([say(TITLES[field]), *keys])
    words = field.split("_")
    words = words[:-1] if words[-1] in UNITS and len(words) > 1 else words
    return " ".join([*words, *keys])


def _write(field: str, values: list[Any]) -> str:
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if numbers and len(numbers) == len(values):
        write = UNITS.get(field.rpartition("_")[2], _short)
        return (
            quantities.format_span(min(numbers), max(numbers), write)
            if min(numbers) < max(numbers)
            else write(numbers[0])
        )
    return _joined(_word(value) for value in values)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    return say(", ").join(map(_word, value)) if isinstance(value, list) else retell(str(value))


def _joined(values: Iterable[str]) -> str:
    return say(", ").join(dict.fromkeys(value for value in values if value))


def _short(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"
