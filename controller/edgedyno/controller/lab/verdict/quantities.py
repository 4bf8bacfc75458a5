"""Quantities and intervals as the verdict writes them. Numbers stay SI everywhere else."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.core.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


# What binds a unit to its number, so that it never begins a line.
NO_BREAK = "\N{NO-BREAK SPACE}"
_PLAIN_NUMBER = re.compile(r"(?:(?<![\w.])-)?(?<![\w.])\d+(?:\.\d+)?")
_NUMBER_AND_UNIT = re.compile(r"(\d) ((?:%|s|ms|µs|ns|pt|m?W|m?J|[kMG]?B|/s|threads?)(?!\w))")


def bind_units(text: str) -> str:
    """Put a no-break space between numbers and units, for text that is going to be wrapped."""
    return _NUMBER_AND_UNIT.sub(rf"\1{NO_BREAK}\2", text)


def format_points(ratio: float) -> str:
    """Write a difference of ratios in percentage points."""
    return f"{_plain(ratio * 100, 1)} pt"


def format_ratio(ratio: float) -> str:
    """Write a score from 0 to 1."""
    return f"{ratio:.3f}"


def format_watts(watts: float) -> str:
    """Write a power with three significant digits."""
    return f"{_significant(watts)} W" if abs(watts) >= 1 else f"{_significant(watts * 1e3)} mW"


def format_joules(joules: float) -> str:
    """Write an energy with three significant digits."""
    return f"{_significant(joules)} J" if abs(joules) >= 1 else f"{_significant(joules * 1e3)} mJ"


def format_rate(per_second: float) -> str:
    """Write a rate with three significant digits."""
    return f"{_significant(per_second)} /s"


def format_percent(share: float) -> str:
    """Write a share in percent: two digits below ten percent, whole numbers above."""
    percent = share * 100
    return f"{_plain(percent, 1)} %" if abs(percent) < 10 else f"{percent:.0f} %"  # noqa: PLR2004 (ten percent)


def shape_of(text: str) -> str:
    """Return a text without its numbers: equal for texts that differ in nothing else."""
    return _PLAIN_NUMBER.sub("#", text)


def merge_numbers(texts: list[str]) -> str:
    """Write texts of one shape as one, each number that differs as a span: `took 90 to 97 % of one CPU`."""
    parts = re.split("#", shape_of(texts[0]))
    columns = zip(*(_PLAIN_NUMBER.findall(text) for text in texts), strict=True)
    spans = []
    for column in columns:
        low, high = min(column, key=float), max(column, key=float)
        spans.append(low if low == high else say("{low} to {high}", low=low, high=high))
    return parts[0] + "".join(span + part for span, part in zip(spans, parts[1:], strict=True))


def merge_alike(texts: Iterable[str]) -> list[str]:
    """Write those texts as one that differ in nothing but their numbers, in order of appearance."""
    shapes: dict[str, list[str]] = {}
    for text in texts:
        shapes.setdefault(shape_of(text), []).append(text)
    return [merge_numbers(alike) for alike in shapes.values()]


def format_times(factor: float) -> str:
    """Write `2.3 times`, two digits."""
    return say("{factor} times", factor=f"{float(f'{factor:.2g}'):g}")


def format_level(level: float) -> str:
    """Write a confidence level, such as 95 %."""
    return f"{level * 100:g} %"


def format_count(count: float) -> str:
    """Write an estimated count with two significant digits, rounded up."""
    digits = max(0, math.ceil(math.log10(max(count, 1))) - 2)
    return f"{math.ceil(count / 10**digits) * 10**digits:,}"


def format_span(low: float, high: float, write: Callable[[float], str]) -> str:
    """Write `low to high`, with the unit once where both have the same."""
    first, last = write(low), write(high)
    number, _, unit = first.partition(" ")
    short = unit and last.endswith(f" {unit}")
    return say("{low} to {high}", low=number if short else first, high=last)


def format_interval(low: float, high: float, write: Callable[[float], str], level: float = 0.95) -> str:
    """Write `95 % interval low to high`."""
    return say("{level} interval {span}", level=format_level(level), span=format_span(low, high, write))


def _significant(number: float) -> str:
    return f"{float(f'{number:.3g}'):g}"


def _plain(number: float, digits: int) -> str:
    text = f"{number:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


__all__ = [
    "NO_BREAK",
    "bind_units",
    "format_bytes",
    "format_count",
    "format_interval",
    "format_joules",
    "format_level",
    "format_percent",
    "format_points",
    "format_rate",
    "format_ratio",
    "format_seconds",
    "format_span",
    "format_times",
    "format_watts",
    "merge_alike",
    "merge_numbers",
    "shape_of",
]
