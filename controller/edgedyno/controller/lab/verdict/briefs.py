"""The answer in a few words, for a table of several models or boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.measured import TITLES
from edgedyno.controller.lab.verdict.phrases import all_of, one_by_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.verdict.model import Choice, Judgement


def brief_of(choices: Sequence[Choice], if_shown: str | None, nearest: str | None) -> str:
    """Say what to use, or what would tell, or what comes nearest."""
    by_trial = {choice.trial: choice for choice in choices}
    first, maybe = choices[0], by_trial.get(if_shown or "")
    if first.status == "recommended":
        use = say("use {trial}", trial=first.label)
        if maybe is None:
            return use
        return one_by_one([use, say("{trial} may be better: {open}", trial=maybe.label, open=_settle(maybe))])
    if maybe is not None:
        return say("cannot tell about {trial}: {open}", trial=maybe.label, open=_settle(maybe))
    if nearest is not None:
        missed = [item.text for item in by_trial[nearest].judgements if item.outcome == "violated"]
        return say(
            "none meets; nearest is {trial}: {missed}", trial=by_trial[nearest].label, missed=all_of(missed)
        )
    return say("cannot tell: no trial gave a result that counts")


def _settle(choice: Choice) -> str:
    """Say what is open in a few words: images where images would tell."""
    open_ones = [item for item in choice.judgements if item.outcome == "undecided"]
    images = [item.more_images for item in open_ones if item.more_images]
    if images and len(images) == len(open_ones):
        return say("about {images} more images needed", images=quantities.format_count(max(images)))
    if open_ones:
        return all_of([_open(item) for item in open_ones])
    return choice.reasons[-1] if choice.reasons else say("it was not measured")


def _open(item: Judgement) -> str:
    title = say(TITLES[item.requirement])
    if item.settle:
        return say("{quantity} takes {effort}", quantity=title, effort=item.settle)
    if item.value is None:
        return say("{quantity} was not measured", quantity=title)
    return say("{quantity} is not shown to hold", quantity=title)
