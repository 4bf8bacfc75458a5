"""The answer in a sentence or two, for people who read nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.comparisons import against_recommended
from edgedyno.controller.lab.verdict.measured import TITLES
from edgedyno.controller.lab.verdict.objectives import best_of
from edgedyno.controller.lab.verdict.phrases import all_of, in_brackets, listed, one_by_one, sentences
from edgedyno.controller.lab.verdict.ratios import conclude

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice
    from edgedyno.core.job import Require

TRIALS_OUT = {
    "failed": phrase("{count} failed"),
    "skipped": phrase("{count} skipped"),
    "not tried": phrase("{count} not tried"),
    "void": phrase("{count} void"),
    "undecided": phrase("{count} without a latency"),
}


def headline(
    choices: list[Choice],
    preferred_for: str | None,
    if_shown: str | None,
    nearest: str | None,
    require: Require,
    margin: float,
) -> str:
    """Say what to deploy, or why that cannot be said, or what comes nearest."""
    by_trial = {choice.trial: choice for choice in choices}
    if choices[0].status == "recommended":
        return sentences(_recommended(choices, preferred_for, require), _not_told_apart(choices, margin))
    if if_shown is not None:
        choice = by_trial[if_shown]
        return say(
            "Cannot tell: no trial is shown to meet every requirement. The fastest that may is {trial}. Open: "
            "{reasons}.",
            trial=describe(choice),
            reasons=one_by_one(choice.reasons),
        )
    if nearest is not None:
        choice = by_trial[nearest]
        why = one_by_one(choice.reasons)
        return say(
            "None meets the requirements. Nearest is {trial}: {reasons}.", trial=choice.label, reasons=why
        )
    return _nothing(choices)


def describe(choice: Choice) -> str:
    """Write a trial with what its scenario ranks by, and the interval."""
    return in_brackets(choice.label, choice.figure) if choice.latency_seconds else choice.label


def nearest_miss(choices: list[Choice]) -> str | None:
    """Return the rejected trial whose worst violation is the smallest share of its limit."""
    rejected = [choice for choice in choices if choice.status == "rejected"]
    return min(rejected, key=_worst_excess).trial if rejected else None


def if_shown_notes(choices: list[Choice], if_shown: str | None, margin: float) -> list[str]:
    """Say which undecided trial would be faster than the recommended one, and what it hangs on."""
    choice = next((choice for choice in choices if choice.trial == if_shown), None)
    if choice is None or choices[0].status != "recommended":
        return []
    reasons = one_by_one(choice.reasons)
    if choice.ratio is None or conclude(choice.ratio, margin) != "faster":
        return [
            say(
                "{trial} may be faster, but is undecided: {reasons}.", trial=describe(choice), reasons=reasons
            )
        ]
    return [
        say(
            "Fastest if {condition}: {trial}, {speed}. Open: {reasons}.",
            condition=_what_holds(choice),
            trial=choice.label,
            speed=against_recommended(choice.ratio, margin),
            reasons=reasons,
        )
    ]


def _recommended(choices: list[Choice], preferred_for: str | None, require: Require) -> str:
    first = choices[0]
    limits = any(getattr(require, name) is not None for name in require.__struct_fields__)
    measured = [choice for choice in choices if choice.latency_seconds and choice.status != "void"]
    if len(measured) == 1:
        claim = (
            say("the only trial that was measured, and it meets every requirement")
            if limits
            else say("the only trial that was measured")
        )
    elif preferred_for is not None:
        claim = (
            say(
                "as fast as any that meets every requirement, as far as shown, and preferred for {ground}",
                ground=preferred_for,
            )
            if limits
            else say(
                "as fast as any other, as far as shown, and preferred for {ground}", ground=preferred_for
            )
        )
    elif limits:
        claim = say("{best} of those shown to meet every requirement", best=best_of(first.scenario))
    else:
        claim = say("{best} of {trials} trials", best=best_of(first.scenario), trials=len(measured))
    return say("Use {trial}: {claim}.", trial=describe(first), claim=claim)


def _not_told_apart(choices: list[Choice], margin: float) -> str:
    """Name what may turn out to be as fast as the recommended one."""
    labels = [
        choice.label
        for choice in choices
        if choice.status == "acceptable" and conclude(choice.ratio, margin) == "cannot tell yet"
    ]
    return say("Not yet told apart from it in speed: {trials}.", trials=listed(labels)) if labels else ""


def _what_holds(choice: Choice) -> str:
    names = [say(TITLES[item.requirement]) for item in choice.judgements if item.outcome == "undecided"]
    if not names:
        return say("it can be measured")
    if len(names) == 1:
        return say("the requirement on {quantity} holds", quantity=names[0])
    return say("the requirements on {quantities} hold", quantities=all_of(names))


def _worst_excess(choice: Choice) -> float:
    violated = [item for item in choice.judgements if item.outcome == "violated"]
    return max((float("inf") if item.excess_ratio is None else item.excess_ratio) for item in violated)


def _nothing(choices: list[Choice]) -> str:
    counts: Counter[str] = Counter(choice.status for choice in choices)
    parts = [say(words, count=counts[name]) for name, words in TRIALS_OUT.items() if name in counts]
    reasons = [one_by_one(choice.reasons) for choice in choices]
    shapes = Counter(map(quantities.shape_of, reasons))
    shape = shapes.most_common(1)[0][0]
    most = quantities.merge_numbers([reason for reason in reasons if quantities.shape_of(reason) == shape])
    return say(
        "Cannot tell: no trial gave a result that counts ({counts}). Most often: {reason}.",
        counts=listed(parts),
        reason=most,
    )
