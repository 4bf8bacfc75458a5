"""The choices as a table of plain text: every trial with what it is, and why, where that is not plain.

Where the width allows, the state stands in the last column, wrapped; else beneath its row. Trials that did not
run are told in a line for each reason, those that a search left out in one line.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.layout import columns_of, pad, wrap
from edgedyno.controller.lab.verdict.objectives import write_short
from edgedyno.controller.lab.verdict.phrases import in_brackets, listed

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice

INDENT = "  "
LEAST_STATE_WIDTH = 30
_Row = tuple[str, ...]


def choice_table(choices: list[Choice], *, width: int) -> list[str]:
    """Return the table's lines, none longer than `width` unless a label alone is."""
    ran = [choice for choice in choices if choice.state not in {"skipped", "not tried"}]
    lines = _rows(ran, width) if ran else []
    return [*lines, *_skipped(choices, width), *not_tried_lines(choices, width)]


def not_tried_lines(choices: list[Choice], width: int) -> list[str]:
    """Say in one item how many cells a search left out, and why."""
    text = not_tried_text(choices)
    return wrap(text, width, INDENT, INDENT * 2) if text else []


def not_tried_text(choices: list[Choice]) -> str:
    """Say how many cells a search left out, and why; nothing where it left none out."""
    reasons = Counter(choice.state_text for choice in choices if choice.state == "not tried")
    if not reasons:
        return ""
    count = reasons.total()
    (most, times), *others = reasons.most_common()
    share = say("{count} of them; {others} other reasons", count=times, others=len(others)) if others else ""
    reason = in_brackets(most, share)
    if count == 1:
        return say("1 cell was not tried: {reason}", reason=reason)
    return say("{count} cells were not tried: {reason}", count=count, reason=reason)


def state_words(choice: Choice) -> str:
    """Write a trial's state with its reason."""
    state = say(choice.state)
    return say("{what}: {why}", what=state, why=choice.state_text) if choice.state_text else state


def _beside_status(choice: Choice) -> str:
    """Write the state without what the status says already."""
    return choice.state_text if choice.state_text and choice.state == choice.status else state_words(choice)


def _rows(choices: list[Choice], width: int) -> list[str]:
    cells = _cells(choices)
    lines = _aligned(cells)
    if max(map(columns_of, lines)) > width:
        return _stacked(choices, _aligned([row[2:] for row in cells]), width)
    used = max(map(columns_of, lines)) + 2
    if width - used >= LEAST_STATE_WIDTH:
        return _beside(choices, lines, used, width)
    return [lines[0], *_beneath(choices, [[line] for line in lines[1:]], width)]


def _cells(choices: list[Choice]) -> list[_Row]:
    columns = [("", say("trial"), *_measured_heads(choices), say("accuracy"), say("drop"), say("status"))]
    rows = [*columns, *(_row(choice) for choice in choices)]
    kept = [
        place
        for place in range(len(rows[0]))
        if place < 2 or any(row[place] != "-" for row in rows[1:])  # noqa: PLR2004 - rank and trial
    ]
    return [tuple(row[place] for place in kept) for row in rows]


def _measured_heads(choices: list[Choice]) -> tuple[str, ...]:
    kind = choices[0].scenario.partition(" ")[0]
    if kind == "throughput":
        return (say("throughput"), say("median"))
    if kind == "soak":
        return (say("last"), say("to first"), say("throttled"))
    plain = (say("median"), "p95")
    return (*plain, say("missed")) if kind == "fixed-rate" else plain


def _row(choice: Choice) -> _Row:
    return (
        str(choice.rank or ""),
        choice.label,
        *_measured(choice),
        quantities.format_ratio(choice.accuracy.value) if choice.accuracy else "-",
        quantities.format_points(choice.accuracy_drop.value) if choice.accuracy_drop else "-",
        say(choice.status),
    )


def _measured(choice: Choice) -> tuple[str, ...]:
    """Return the cells of what the scenario measures, in the order of the heads."""
    latency, kind = choice.latency_seconds, choice.scenario.partition(" ")[0]
    first = write_short(choice)
    tail = quantities.format_seconds(latency.p95) if latency and latency.p95 is not None else "-"
    if kind == "throughput":
        return (first, quantities.format_seconds(latency.p50) if latency else "-")
    if kind == "soak":
        return (first, *_soaked(choice))
    if kind == "fixed-rate":
        deadlines = choice.deadlines
        return (first, tail, f"{deadlines.missed}/{deadlines.arrivals}" if deadlines else "-")
    return (first, tail)


def _soaked(choice: Choice) -> tuple[str, str]:
    soak = choice.soak
    if soak is None:
        return ("-", "-")
    after = soak.throttled_after_seconds
    return (
        f"x{soak.slowdown.value:.2f}",
        say("no") if after is None else say("after {time}", time=quantities.format_seconds(after)),
    )


def _aligned(rows: list[_Row]) -> list[str]:
    widths = [max(columns_of(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        INDENT + "  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _beside(choices: list[Choice], lines: list[str], used: int, width: int) -> list[str]:
    """Put the state into a last column; a long reason stands there once for neighbours that share it."""
    table = [pad(lines[0], used) + say("state")]
    above = ""
    for choice, line in zip(choices, lines[1:], strict=True):
        words = _beside_status(choice)
        shown = say("as above") if words == above and columns_of(words) > width - used else words
        above = words
        first, *rest = wrap(shown, width - used, "")
        table += [pad(line, used) + first, *(" " * used + more for more in rest)]
    return table


def _beneath(choices: list[Choice], blocks: list[list[str]], width: int) -> list[str]:
    """Put the state beneath its lines, or once beneath all neighbours that share it but for the numbers."""
    table: list[str] = []
    pairs = zip(choices, blocks, strict=True)
    for _, group in groupby(pairs, key=lambda pair: _shared(pair[0])):
        members = list(group)
        table += [line for _, block in members for line in block]
        if members[0][0].state != "settled":
            words = quantities.merge_numbers([state_words(choice) for choice, _ in members])
            if len(members) > 1:
                words = say("these {count}: {words}", count=len(members), words=words)
            table += wrap(words, width, INDENT * 4, INDENT * 5)
    return table


def _shared(choice: Choice) -> str:
    """Return what neighbours must have in common: what would settle a trial is its own."""
    return choice.trial if choice.state == "not settled" else quantities.shape_of(state_words(choice))


def _stacked(choices: list[Choice], lines: list[str], width: int) -> list[str]:
    """Put long labels on lines of their own, then the figures, then the state."""
    blocks = []
    for choice, line in zip(choices, lines[1:], strict=True):
        label = f"{choice.rank or '':<2}{choice.label}"
        blocks.append([*wrap(label, width, INDENT, INDENT * 3), INDENT * 2 + line])
    return [INDENT * 2 + lines[0], *_beneath(choices, blocks, width)]


def _skipped(choices: list[Choice], width: int) -> list[str]:
    """Tell skipped trials in one item for each reason."""
    reasons: dict[str, list[str]] = {}
    for choice in choices:
        if choice.state == "skipped":
            reasons.setdefault(choice.state_text, []).append(choice.label)
    return [
        line
        for reason, labels in reasons.items()
        for line in wrap(
            say("skipped: {trials}: {reason}", trials=listed(labels), reason=reason),
            width,
            INDENT,
            INDENT * 2,
        )
    ]
