"""The answer in a few words, for a table of several models or boards: what to use, and what became of the rest.

A precision is told of where none of its trials may be used: rejected by what, or what would tell. Predictions are as
right on a busy board as on a quiet one, so that much is said of void trials too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.measured import BY_NAME, BY_PREDICTIONS, TITLES
from edgedyno.controller.lab.verdict.phrases import all_of, one_by_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.verdict.model import Choice, Judgement

MEETS = {"recommended", "acceptable"}


def brief_of(choices: Sequence[Choice], if_shown: str | None, nearest: str | None) -> str:
    """Say what to use, or what would tell, or what comes nearest."""
    by_trial = {choice.trial: choice for choice in choices}
    first, maybe = choices[0], by_trial.get(if_shown or "")
    if first.status == "recommended":
        use = say("use {trial}", trial=first.label)
        return one_by_one([use, *_fates(choices)])
    if maybe is not None:
        return one_by_one([say("cannot tell"), *_fates(choices)])
    if nearest is not None:
        missed = [_missed(item) for item in by_trial[nearest].judgements if item.outcome == "violated"]
        words = {"trial": by_trial[nearest].label, "missed": all_of(missed)}
        return say("none meets; nearest is {trial}: {missed}", **words)
    if any(choice.status == "void" for choice in choices):
        return one_by_one([say("cannot tell: the board was disturbed while it measured"), *_fates(choices)])
    return say("cannot tell: no trial gave a result that counts")


def _fates(choices: Sequence[Choice]) -> list[str]:
    """Say of each variant what keeps all of its trials from being used."""
    variants: dict[str, list[Choice]] = {}
    for choice in choices:
        if choice.latency_seconds is not None:
            variants.setdefault(f"{choice.precision.upper()} {choice.variant}".rstrip(), []).append(choice)
    told: dict[str, list[str]] = {}
    for name, group in variants.items():
        fate = _fate(group)
        if fate:
            told.setdefault(fate, []).append(name)
    return [say("{what}: {why}", what=all_of(names), why=fate) for fate, names in told.items()]


def _fate(group: Sequence[Choice]) -> str:
    if any(choice.status in MEETS for choice in group):
        return ""
    if all(choice.status == "void" for choice in group):
        known = [item for item in group[0].judgements if item.requirement in BY_PREDICTIONS]
    else:
        told = [choice for choice in group if choice.status == "undecided"] or list(group)
        known = told[0].judgements
    violated = [item for item in known if item.outcome == "violated"]
    if violated:
        return say("rejected ({missed})", missed=all_of([_missed(item) for item in violated]))
    open_ones = [item for item in known if item.outcome == "undecided"]
    images = [item.more_images for item in open_ones if item.more_images]
    if images and len(images) == len(open_ones):
        return say(
            "cannot tell, about {images} more images needed", images=quantities.format_count(max(images))
        )
    if open_ones:
        return say("cannot tell ({open})", open=all_of([_open(item) for item in open_ones]))
    goal_is_open = group[0].status == "undecided" and bool(group[0].reasons)
    return say("cannot tell ({open})", open=group[0].reasons[-1]) if goal_is_open else ""


def _open(item: Judgement) -> str:
    title = say(TITLES[item.requirement])
    if item.settle:
        return say("{quantity}: {effort}", quantity=title, effort=item.settle)
    if item.value is None:
        return say("{quantity} was not measured", quantity=title)
    return say("{quantity} is not shown to hold", quantity=title)


def _missed(item: Judgement) -> str:
    """Write what was found and the limit, without the interval; of what is no declared requirement, all of it."""
    quantity = BY_NAME.get(item.requirement)
    if quantity is None or item.value is None or item.limit is None:
        return item.short or item.text
    return say(
        "{quantity} {value}, limit {limit}",
        quantity=say(quantity.title),
        value=quantity.write(item.value),
        limit=quantity.write(item.limit),
    )
