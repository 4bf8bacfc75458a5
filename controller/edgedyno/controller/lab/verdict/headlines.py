"""The answer in a sentence or two, for people who read nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.comparisons import compare_in_words
from edgedyno.controller.lab.verdict.objectives import best_of
from edgedyno.controller.lab.verdict.ratios import conclude

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice
    from edgedyno.core.job import Require

TRIALS_OUT = {"failed": "failed", "skipped": "skipped", "not tried": "not tried", "void": "void"}


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
        return _recommended(choices, preferred_for, require) + _not_told_apart(choices, margin)
    if if_shown is not None:
        choice = by_trial[if_shown]
        return (
            "Cannot tell: no trial is shown to meet every requirement. The fastest that may is "
            f"{describe(choice)}. Open: {'; '.join(choice.reasons)}."
        )
    if nearest is not None:
        choice = by_trial[nearest]
        why = "; ".join(choice.reasons)
        return f"None meets the requirements. Nearest is {choice.label}: {why}."
    return _nothing(choices)


def describe(choice: Choice) -> str:
    """Write a trial with what its scenario ranks by, and the interval."""
    return f"{choice.label} ({choice.figure})" if choice.latency_seconds else choice.label


def nearest_miss(choices: list[Choice]) -> str | None:
    """Return the rejected trial whose worst violation is the smallest share of its limit."""
    rejected = [choice for choice in choices if choice.status == "rejected"]
    return min(rejected, key=_worst_excess).trial if rejected else None


def if_shown_notes(choices: list[Choice], if_shown: str | None, margin: float) -> list[str]:
    """Say which undecided trial would be faster than the recommended one, and what it hangs on."""
    choice = next((choice for choice in choices if choice.trial == if_shown), None)
    if choice is None or choices[0].status != "recommended":
        return []
    open_points = "; ".join(choice.reasons)
    if choice.ratio is None or conclude(choice.ratio, margin) != "faster":
        return [f"{describe(choice)} may be faster, but is undecided: {open_points}."]
    speed = compare_in_words("it", "the recommended one", choice.ratio, margin).removeprefix("it is ")
    return [f"Fastest if {_what_holds(choice)}: {choice.label}, {speed}. Open: {open_points}."]


def _recommended(choices: list[Choice], preferred_for: str | None, require: Require) -> str:
    first = choices[0]
    limits = any(getattr(require, name) is not None for name in require.__struct_fields__)
    measured = [choice for choice in choices if choice.latency_seconds and choice.status != "void"]
    if len(measured) == 1:
        claim = "the only trial that was measured" + (", and it meets every requirement" if limits else "")
    else:
        among = "of those shown to meet every requirement" if limits else f"of {len(measured)} trials"
        claim = f"{best_of(first.scenario)} {among}"
    if preferred_for is not None:
        claim = f"as fast as any {'that meets every requirement' if limits else 'other'}, as far as shown"
        claim += f", and preferred for {preferred_for}"
    return f"Use {describe(first)}: {claim}."


def _not_told_apart(choices: list[Choice], margin: float) -> str:
    """Name what may turn out to be as fast as the recommended one."""
    labels = [
        choice.label
        for choice in choices
        if choice.status == "acceptable" and conclude(choice.ratio, margin) == "cannot tell yet"
    ]
    return f" Not yet told apart from it in speed: {', '.join(labels)}." if labels else ""


def _what_holds(choice: Choice) -> str:
    names = [item.requirement for item in choice.judgements if item.outcome == "undecided"]
    verb = "hold" if len(names) > 1 else "holds"
    return f"{' and '.join(names)} {verb}" if names else "it can be measured"


def _worst_excess(choice: Choice) -> float:
    violated = [item for item in choice.judgements if item.outcome == "violated"]
    return max((float("inf") if item.excess_ratio is None else item.excess_ratio) for item in violated)


def _nothing(choices: list[Choice]) -> str:
    counts: Counter[str] = Counter(choice.status for choice in choices)
    parts = [f"{counts[name]} {word}" for name, word in TRIALS_OUT.items() if name in counts]
    undecided = counts["undecided"]
    parts += [f"{undecided} without a latency"] if undecided else []
    reasons = ["; ".join(choice.reasons) for choice in choices]
    shapes = Counter(map(quantities.shape_of, reasons))
    shape = shapes.most_common(1)[0][0]
    most = quantities.merge_numbers([reason for reason in reasons if quantities.shape_of(reason) == shape])
    return f"Cannot tell: no trial gave a result that counts ({', '.join(parts)}). Most often: {most}."
