"""A verdict as lines of plain text for a terminal; whoever prints them adds the colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict.comparisons import settings_in_words
from edgedyno.controller.lab.verdict.layout import wrap
from edgedyno.controller.lab.verdict.phrases import listed, one_by_one
from edgedyno.controller.lab.verdict.table import INDENT, choice_table

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice, Comparison, Verdict

WIDTH = 80


def verdict_lines(verdict: Verdict, *, width: int = WIDTH) -> list[str]:
    """Return the answer, the choices with their reasons, the comparisons and the notes, in `width` columns.

    The table may be as wide as that; running text stays within WIDTH, where it reads best.
    """
    text_width = min(width, WIDTH)
    answer = say(verdict.answer).upper()
    lines = [say("{model} on {board}: {answer}", model=verdict.model, board=verdict.board, answer=answer)]
    lines += wrap(verdict.headline, text_width, INDENT)
    lines += ["", say("Choices"), *choice_table(verdict.choices, width=width)]
    judged = [
        choice for choice in verdict.choices if choice.status in {"acceptable", "undecided", "rejected"}
    ]
    if judged:
        lines += ["", say("Why not the others") if verdict.recommended else say("Why")]
        lines += [line for group in group_by_reasons(judged) for line in _why(group, text_width)]
    if verdict.runtimes:
        lines += ["", say("Runtime against runtime")]
        lines += [line for item in verdict.runtimes for line in _item(item.text, text_width)]
    if verdict.comparisons:
        lines += ["", say("Precision against precision"), *_comparisons(verdict.comparisons, text_width)]
    if verdict.notes:
        lines += ["", say("Notes"), *[line for note in verdict.notes for line in _item(note, text_width)]]
    return [*lines, "", *wrap(verdict.confidence, text_width, INDENT)]


def group_by_reasons(choices: list[Choice]) -> list[list[Choice]]:
    """Put together what has the same status for the same reasons, in order of appearance."""
    groups: dict[tuple[str, ...], list[Choice]] = {}
    for choice in choices:
        groups.setdefault((choice.status, *choice.reasons), []).append(choice)
    return list(groups.values())


def _comparisons(comparisons: list[Comparison], width: int) -> list[str]:
    """List what was compared under the settings it was compared at."""
    several = len({item.runtime for item in comparisons}) > 1
    under: dict[str, list[str]] = {}
    for item in comparisons:
        under.setdefault(settings_in_words(item, runtime=several), []).extend(_item(item.text, width))
    return [line for setting, lines in under.items() for line in (*wrap(setting, width, INDENT), *lines)]


def _item(text: str, width: int) -> list[str]:
    return wrap(text, width, "  - ", "    ")


def _why(group: list[Choice], width: int) -> list[str]:
    text = say(
        "{trials}: {status}: {reasons}",
        trials=listed(choice.label for choice in group),
        status=say(group[0].status),
        reasons=one_by_one(group[0].reasons),
    )
    return _item(text, width)
