"""A verdict as lines of plain text for a terminal; whoever prints them adds the colours."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from edgedyno.controller.lab.verdict import quantities

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice, Verdict

WIDTH = 80


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return the answer, the choices with their reasons, the comparisons and the notes, in 80 columns."""
    lines = [f"{verdict.model} on {verdict.board}: {verdict.answer.upper()}"]
    lines += _wrap(verdict.headline, "  ")
    lines += ["", "Choices", *_table(verdict.choices)]
    out = [choice for choice in verdict.choices if choice.status != "recommended"]
    if out:
        lines += ["", "Why not the others"]
        lines += [line for choice in out for line in _why(choice)]
    if verdict.comparisons:
        lines += ["", "Precision against precision"]
        lines += [line for item in verdict.comparisons for line in _item(item.text)]
    if verdict.notes:
        lines += ["", "Notes", *[line for note in verdict.notes for line in _item(note)]]
    return [*lines, "", *_wrap(verdict.confidence, "  ")]


def _wrap(text: str, indent: str, hanging: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False,
    )


def _item(text: str) -> list[str]:
    return _wrap(text, "  - ", "    ")


def _why(choice: Choice) -> list[str]:
    reasons = "; ".join(choice.reasons)
    return _wrap(f"{choice.label}: {choice.status}: {reasons}", "  - ", "    ")


def _table(choices: list[Choice]) -> list[str]:
    rows = [("", "trial", "median", "p95", "accuracy", "drop", "status")]
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
        quantities.format_seconds(latency.p50) if latency else "-",
        quantities.format_seconds(latency.p95) if latency and latency.p95 is not None else "-",
        quantities.format_ratio(choice.accuracy.value) if choice.accuracy else "-",
        quantities.format_points(choice.accuracy_drop.value) if choice.accuracy_drop else "-",
        choice.status,
    )
