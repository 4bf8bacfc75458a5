"""The answer in a sentence or two, for people who read nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.comparisons import against_recommended
from edgedyno.controller.lab.verdict.fidelity import looks_like_in_words, proof_sentence
from edgedyno.controller.lab.verdict.measured import TITLES
from edgedyno.controller.lab.verdict.phrases import all_of, in_brackets, listed, one_by_one, sentences
from edgedyno.controller.lab.verdict.ratios import conclude

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.goals import Criterion
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
    criterion: Criterion,
) -> str:
    """Say what to deploy, or why that cannot be said, or what comes nearest."""
    by_trial = {choice.trial: choice for choice in choices}
    if choices[0].status == "recommended":
        return sentences(
            _recommended(choices, preferred_for, require, criterion),
            _not_told_apart(choices, criterion),
            proof_sentence(choices[0]),
        )
    if if_shown is not None:
        return _open(by_trial[if_shown], criterion)
    if nearest is not None:
        return _missed(choices, by_trial[nearest], criterion)
    return _nothing(choices)


def _open(choice: Choice, criterion: Criterion) -> str:
    """Say what may turn out to be the one to deploy."""
    words = {"trial": describe(choice), "reasons": one_by_one(choice.reasons)}
    aim = criterion.aim
    if aim is None:
        return say(
            "Cannot tell: no trial is shown to meet every requirement. The fastest that may is {trial}. Open: "
            "{reasons}.",
            **words,
        )
    quantity = say(aim.title)
    if choice.goal is None:
        return say(
            "Cannot tell: the goal is {quantity}, which is known of no trial that may meet every requirement. By "
            "speed alone it would be {trial}. Open: {reasons}.",
            quantity=quantity,
            **words,
        )
    return say(
        "Cannot tell: no trial is shown to meet every requirement. The best by {quantity} that may is {trial}. Open: "
        "{reasons}.",
        quantity=quantity,
        **words,
    )


def _missed(choices: list[Choice], nearest: Choice, criterion: Criterion) -> str:
    """Name the nearest miss, by what it misses and how far; or what the whole sweep seems to suffer from."""
    causes = {_cause(choice) for choice in choices if choice.status == "rejected"}
    if len(causes) == 1 and "" not in causes:
        return say(
            "None can be deployed as it is: every trial failed the check on known images ({cause}). Mend what the "
            "profile says of the model and run again.",
            cause=causes.pop(),
        )
    trial = nearest.label if criterion.aim is None else describe(nearest)
    reasons = one_by_one(nearest.reasons)
    if len(nearest.reasons) > 1:
        return say(
            "None meets the requirements. Nearest is {trial}, which misses {count} of them: {reasons}.",
            trial=trial,
            count=len(nearest.reasons),
            reasons=reasons,
        )
    return say("None meets the requirements. Nearest is {trial}: {reasons}.", trial=trial, reasons=reasons)


def _cause(choice: Choice) -> str:
    return looks_like_in_words(choice.selftest) if choice.selftest and not choice.selftest.passed else ""


def describe(choice: Choice) -> str:
    """Write a trial with what its scenario ranks by, and the interval."""
    return in_brackets(choice.label, choice.figure) if choice.latency_seconds else choice.label


def nearest_miss(choices: list[Choice]) -> str | None:
    """Return the rejected trial whose worst violation is the smallest share of its limit; `choices` are in order."""
    rejected = [choice for choice in choices if choice.status == "rejected"]
    return (
        min(rejected, key=lambda choice: (_worst_excess(choice), len(choice.reasons))).trial
        if rejected
        else None
    )


def if_shown_notes(choices: list[Choice], if_shown: str | None, criterion: Criterion) -> list[str]:
    """Say which undecided trial would be better by the goal than the recommended one, and what it hangs on."""
    choice = next((choice for choice in choices if choice.trial == if_shown), None)
    if choice is None or choices[0].status != "recommended":
        return []
    reasons, aim = one_by_one(choice.reasons), criterion.aim
    if aim is not None:
        return [
            say(
                "Best by {quantity} if {condition}: {trial}. Open: {reasons}.",
                quantity=say(aim.title),
                condition=_what_holds(choice),
                trial=describe(choice),
                reasons=reasons,
            )
        ]
    if choice.ratio is None or conclude(choice.ratio, criterion.margin) != "faster":
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
            speed=against_recommended(choice.ratio, criterion.margin),
            reasons=reasons,
        )
    ]


def _recommended(
    choices: list[Choice], preferred_for: str | None, require: Require, criterion: Criterion
) -> str:
    first = choices[0]
    limits = any(getattr(require, name) is not None for name in require.__struct_fields__)
    measured = [choice for choice in choices if choice.latency_seconds and choice.status != "void"]
    if len(measured) == 1:
        claim = (
            say("the only trial that was measured, and it meets every requirement")
            if limits
            else say("the only trial that was measured")
        )
    elif preferred_for is not None and criterion.aim is not None:
        claim = _as_good(say(criterion.aim.title), preferred_for, limits=limits)
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
        claim = say("{best} of those shown to meet every requirement", best=criterion.best(first.scenario))
    else:
        claim = say("{best} of {trials} trials", best=criterion.best(first.scenario), trials=len(measured))
    return say("Use {trial}: {claim}.", trial=describe(first), claim=claim)


def _as_good(quantity: str, ground: str, *, limits: bool) -> str:
    words = {"quantity": quantity, "ground": ground}
    if limits:
        return say(
            "as good by {quantity} as any that meets every requirement, as far as shown, and preferred for {ground}",
            **words,
        )
    return say("as good by {quantity} as any other, as far as shown, and preferred for {ground}", **words)


def _not_told_apart(choices: list[Choice], criterion: Criterion) -> str:
    """Name what may turn out to be as fast as the recommended one."""
    if criterion.aim is not None:
        return ""
    labels = [
        choice.label
        for choice in choices
        if choice.status == "acceptable" and conclude(choice.ratio, criterion.margin) == "cannot tell yet"
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
