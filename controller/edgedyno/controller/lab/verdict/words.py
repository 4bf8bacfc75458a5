"""A verdict as lines of plain text for a terminal; whoever prints them adds the colours."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.comparisons import settings_in_words

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice, Comparison, Verdict
    from edgedyno.core.result import LatencySummary

WIDTH = 80


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the answer, the choices with their reasons, the comparisons and the notes, in 80 columns."""
    lines = [f"{verdict.model} on {verdict.board}: {verdict.answer.upper()}"]
    lines += _wrap(verdict.headline, "  ")
    lines += ["", "Choices", *_table(verdict.choices)]
    out = [choice for choice in verdict.choices if choice.status != "recommended"]
    if out:
        lines += ["", "Why not the others" if verdict.recommended else "Why"]
        lines += [line for group in group_by_reasons(out) for line in _why(group)]
    if verdict.comparisons:
        lines += ["", "Precision against precision", *_comparisons(verdict.comparisons)]
    if verdict.notes:
        lines += ["", "Notes", *[line for note in verdict.notes for line in _item(note)]]
    return [*lines, "", *_wrap(verdict.confidence, "  ")]


def group_by_reasons(choices: list[Choice]) -> list[list[Choice]]:
    """Put together what has the same status for the same reasons, in order of appearance."""
    groups: dict[tuple[str, ...], list[Choice]] = {}
    for choice in choices:
        groups.setdefault((choice.status, *choice.reasons), []).append(choice)
    return list(groups.values())


def _comparisons(comparisons: list[Comparison]) -> list[str]:
    """List what was compared under the settings it was compared at."""
    several = len({item.runtime for item in comparisons}) > 1
    under: dict[str, list[str]] = {}
    for item in comparisons:
        under.setdefault(settings_in_words(item, runtime=several), []).extend(_item(item.text))
    return [line for setting, lines in under.items() for line in (f"  {setting}", *lines)]


def _wrap(text: str, indent: str, hanging: str | None = None) -> list[str]:
    lines = textwrap.wrap(
        quantities.bind_units(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False,
    )
    return [line.replace(quantities.NO_BREAK, " ") for line in lines]


def _item(text: str) -> list[str]:
    return _wrap(text, "  - ", "    ")


def _why(group: list[Choice]) -> list[str]:
    labels = ", ".join(choice.label for choice in group)
    reasons = "; ".join(group[0].reasons)
    return _wrap(f"{labels}: {group[0].status}: {reasons}", "  - ", "    ")


def _table(choices: list[Choice]) -> list[str]:
    rows: list[tuple[str, ...]] = [("", "trial", "median", "p95", "accuracy", "drop", "status")]
    rows += [_row(choice) for choice in choices]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(choice: Choice) -> tuple[str, ...]:
    latency = choice.latency_seconds
    return (
        str(choice.rank or ""),
        choice.label,
        _median(latency),
        quantities.format_seconds(latency.p95) if latency and latency.p95 is not None else "-",
        quantities.format_ratio(choice.accuracy.value) if choice.accuracy else "-",
        quantities.format_points(choice.accuracy_drop.value) if choice.accuracy_drop else "-",
        choice.status,
    )


def _median(latency: LatencySummary | None) -> str:
    """Write a median with the half-width of its interval."""
    if latency is None:
        return "-"
    median = quantities.format_seconds(latency.p50)
    if latency.p50_low is None or latency.p50_high is None:
        return median
    return f"{median} ±{(latency.p50_high - latency.p50_low) / 2 / latency.p50:.1%}"
