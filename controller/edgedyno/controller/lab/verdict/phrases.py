"""Words that several parts of the verdict share: lists, counts, and what answers, states and outcomes are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import phrase, retell, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Codes of the model that are also words for people: said with `say(code)`.
CODES = (
    phrase("recommended"),
    phrase("acceptable"),
    phrase("undecided"),
    phrase("rejected"),
    phrase("void"),
    phrase("failed"),
    phrase("skipped"),
    phrase("not tried"),
    phrase("settled"),
    phrase("not settled"),
    phrase("eliminated"),
    phrase("cannot tell"),
    phrase("none meets"),
    phrase("met"),
    phrase("violated"),
)


def all_of(names: Sequence[str]) -> str:
    """Write `a, b and c`."""
    if len(names) < 2:  # noqa: PLR2004 - one name needs no joining
        return "".join(names)
    return say("{names} and {last}", names=listed(names[:-1]), last=names[-1])


def listed(names: Iterable[str]) -> str:
    """Write `a, b, c`."""
    return say(", ").join(map(retell, names))


def one_by_one(clauses: Iterable[str]) -> str:
    """Write clauses behind each other: `a; b; c`."""
    return say("; ").join(map(retell, clauses))


def sentences(*parts: str) -> str:
    """Put whole sentences behind each other; those that are empty are left out."""
    return say(" ").join(part for part in parts if part)


def in_brackets(text: str, beside: str) -> str:
    """Write `text (beside)`, or the text alone."""
    return say("{text} ({beside})", text=text, beside=beside) if beside else text


def threads_in_words(threads: int) -> str:
    """Write `1 thread` or `4 threads`."""
    return say("1 thread") if threads == 1 else say("{threads} threads", threads=threads)
