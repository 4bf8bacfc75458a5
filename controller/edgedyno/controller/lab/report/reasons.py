"""Why the trials that are not recommended are not: told once for all that share it, never once a row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import retell, say
from edgedyno.controller.lab.verdict.quantities import merge_numbers, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedyno.controller.lab.verdict import Choice

# In this order on the page; what did not run comes in a section of its own.
RAN = ("acceptable", "undecided", "rejected", "void")
DID_NOT_RUN = ("failed", "skipped")
MANY_LABELS = 6


@dataclass(frozen=True)
class Why:
    """One reason and whom it holds for."""

    number: int
    status: str
    labels: str
    text: str
    trials: frozenset[str]


def gather_reasons(choices: Sequence[Choice], statuses: Sequence[str]) -> list[Why]:
    """Put together what has the same status for reasons that differ in nothing but numbers."""
    groups: dict[tuple[str, str], list[Choice]] = {}
    for choice in choices:
        if choice.status in statuses:
            groups.setdefault((choice.status, shape_of(_reason(choice))), []).append(choice)
    return [
        Why(
            number,
            group[0].status,
            name_all(group, choices),
            merge_numbers([_reason(choice) for choice in group]),
            frozenset(choice.trial for choice in group),
        )
        for number, group in enumerate(groups.values(), start=1)
    ]


def _reason(choice: Choice) -> str:
    return say("; ").join(retell(reason) for reason in choice.reasons)


def name_all(group: Sequence[Choice], choices: Iterable[Choice]) -> str:
    """Name a group's trials; those of a variant by its name alone where all of them are in it."""
    heads = Counter(_head(choice) for choice in choices if choice.state != "not tried")
    ours = Counter(_head(choice) for choice in group)
    names: dict[str, None] = {}
    for choice in group:
        head = _head(choice)
        if ours[head] == heads[head] and heads[head] > 1:
            names[say("{variant} in all {count} settings", variant=head, count=heads[head])] = None
        else:
            names[choice.label] = None
    shown = list(names)[:MANY_LABELS]
    rest = len(names) - len(shown)
    listed = say(", ").join(shown)
    return say("{names} and {count} more", names=listed, count=rest) if rest else listed


def _head(choice: Choice) -> str:
    """Return what a label begins with, the variant, and its runtime where labels name runtimes."""
    parts = choice.label.split(" · ")
    return " · ".join(part for part in parts[:2] if part in (parts[0], choice.runtime))
