"""Do two runs of the same sweep agree: trial by trial in what they measured, and in the verdict.

The two were not interleaved, so nothing here says why they differ; a board that drifted between them shows as a
difference.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import Verdict
from edgedyno.controller.lab.verdict.comparisons import corrected_level
from edgedyno.controller.lab.verdict.labels import label_trials
from edgedyno.controller.lab.verdict.objectives import Figure, figure_of, write_short
from edgedyno.controller.lab.verdict.ratios import conclude
from edgedyno.controller.lab.verdict.states import is_not_tried, void_reason
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence


LEVEL = 0.95
Outcome = Literal["agree", "differ", "cannot tell"]
_Key = tuple[str, ...]
_ALWAYS = ("model", "runtime", "precision", "threads", "cores", "batch", "scenario")
# Named only where they vary within a run: runs on two boards, or of two versions, are there to be compared.
_WHERE_VARYING = ("board", "runtime_version", "format")
_STANDINGS = {
    "measured": phrase("measured"),
    "void": phrase("void"),
    "failed": phrase("failed"),
    "skipped": phrase("skipped"),
}


class TrialAgreement(Struct, frozen=True):
    """One cell in both runs; `ratio` is second over first in the seconds that its scenario ranks by."""

    label: str
    first: str
    """What was measured, with the half-width of its 95 % interval, or why there is nothing to compare."""
    second: str
    ratio: float | None
    low: float | None
    """All intervals hold together at 95 %: each is as wide as the number of trials asks for."""
    high: float | None
    outcome: Outcome
    text: str
    first_status: str | None = None
    """In the first run's verdict, such as `recommended`."""
    second_status: str | None = None


class VerdictAgreement(Struct, frozen=True):
    """The verdicts on one model, each in its own words."""

    model: str
    same: bool
    text: str
    first: str
    second: str


class Agreement(Struct, frozen=True):
    """Two runs held against each other."""

    trials: list[TrialAgreement]
    verdicts: list[VerdictAgreement]
    agrees: bool
    """Whether every trial that both measured agrees, at least one does, and the verdicts are the same."""
    left_out: int
    """Trials that only one of the runs has."""


class Run(Struct, frozen=True):
    """What one run gave."""

    results: list[Result]
    verdicts: list[Verdict]


def compare_runs(first: Run, second: Run) -> Agreement:
    """Compare two runs trial by trial and by their verdicts."""
    names = _naming(first.results, second.results)
    ours, theirs = (_by_key(run.results, names) for run in (first, second))
    shared = [key for key in ours if key in theirs]
    level = corrected_level(len(shared))
    labels = label_trials(first.results)
    statuses = (_statuses(first), _statuses(second))
    trials = [_compare(ours[key], theirs[key], labels[ours[key].trial], level, statuses) for key in shared]
    verdicts = _compare_verdicts(first, second, names)
    outcomes = {trial.outcome for trial in trials}
    return Agreement(
        trials=trials,
        verdicts=verdicts,
        agrees="agree" in outcomes and "differ" not in outcomes and all(each.same for each in verdicts),
        left_out=len(ours) + len(theirs) - 2 * len(shared),
    )


def _naming(*runs: Sequence[Result]) -> list[str]:
    varying = [
        name for name in _WHERE_VARYING if any(len({getattr(r, name) for r in run}) > 1 for run in runs)
    ]
    return [*_ALWAYS, *varying]


def _by_key(results: Sequence[Result], names: Sequence[str]) -> dict[_Key, Result]:
    return {_key(result, names): result for result in results if not is_not_tried(result)}


def _key(result: Result, names: Sequence[str]) -> _Key:
    return tuple(str(getattr(result, name)) for name in names)


def _statuses(run: Run) -> dict[str, str]:
    return {choice.trial: choice.status for verdict in run.verdicts for choice in verdict.choices}


def _compare(
    first: Result, second: Result, label: str, level: float, statuses: tuple[dict[str, str], dict[str, str]]
) -> TrialAgreement:
    ratio = _ratio(first, second, level)
    outcome, text = _judge(first, second, ratio)
    return TrialAgreement(
        label=label,
        first=_measured(first),
        second=_measured(second),
        ratio=ratio.value if ratio else None,
        low=ratio.low if ratio else None,
        high=ratio.high if ratio else None,
        outcome=outcome,
        text=text,
        first_status=statuses[0].get(first.trial),
        second_status=statuses[1].get(second.trial),
    )


def _standing(result: Result) -> str:
    if result.status != "ok":
        return result.status
    return "measured" if result.validity.valid else "void"


def _measured(result: Result) -> str:
    standing = _standing(result)
    return write_short(result) if standing == "measured" else say(_STANDINGS[standing])


def _ratio(first: Result, second: Result, level: float) -> Figure | None:
    """Return second / first where both count; both log-errors in quadrature (delta method), at `level`."""
    a, b = figure_of(first), figure_of(second)
    if a is None or b is None or _standing(first) != "measured" or _standing(second) != "measured":
        return None
    value = b.value / a.value
    if not (a.low and a.high and b.low and b.high):
        return Figure(value, None, None)
    wider = _quantile(level) / _quantile(LEVEL)
    down = wider * math.hypot(math.log(b.value / b.low), math.log(a.high / a.value))
    up = wider * math.hypot(math.log(b.high / b.value), math.log(a.value / a.low))
    return Figure(value, value * math.exp(-down), value * math.exp(up))


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)


def _judge(first: Result, second: Result, ratio: Figure | None) -> tuple[Outcome, str]:
    standings = (_standing(first), _standing(second))
    if ratio is not None:
        if ratio.low is None or ratio.high is None:
            return "cannot tell", say("a median has no interval")
        if ratio.low <= 1 <= ratio.high:
            return "agree", say("agree within their intervals")
        return "differ", say("second is slower") if ratio.value > 1 else say("second is faster")
    if standings[0] == standings[1]:
        return "cannot tell", say("{status} in both", status=say(_STANDINGS[standings[0]]))
    if standings[0] == "measured":
        status = say(_STANDINGS[standings[1]])
        return "differ", say("{status} in the second: {reason}", status=status, reason=_why(second))
    status = say(_STANDINGS[standings[0]])
    return "differ", say("{status} in the first: {reason}", status=status, reason=_why(first))


def _why(result: Result) -> str:
    if result.failure is not None:
        return result.failure.text
    return say("it was not measured") if result.validity.valid else void_reason(result)


def _compare_verdicts(first: Run, second: Run, names: Sequence[str]) -> list[VerdictAgreement]:
    by_place = "board" in names
    theirs = {(each.model, each.board if by_place else ""): each for each in second.verdicts}
    return [
        _compare_verdict(each, theirs[place], first, second, names)
        for each in first.verdicts
        if (place := (each.model, each.board if by_place else "")) in theirs
    ]


def _compare_verdict(
    ours: Verdict, theirs: Verdict, first: Run, second: Run, names: Sequence[str]
) -> VerdictAgreement:
    keys = [{result.trial: _key(result, names) for result in run.results} for run in (first, second)]
    chosen = [
        {key for trial, key in named.items() if trial in verdict.recommended}
        for named, verdict in zip(keys, (ours, theirs), strict=True)
    ]
    equal = chosen[0] == chosen[1]
    tied = chosen[0] <= _not_slower(theirs, keys[1]) and chosen[1] <= _not_slower(ours, keys[0])
    same = ours.answer == theirs.answer and (equal or tied)
    return VerdictAgreement(
        ours.model, same, _in_words(ours, theirs, same=same, equal=equal), ours.headline, theirs.headline
    )


def _not_slower(verdict: Verdict, keys: dict[str, _Key]) -> set[_Key]:
    """Return the trials that a verdict would accept and does not show to be slower than what it recommends."""
    return {
        keys[choice.trial]
        for choice in verdict.choices
        if choice.trial in keys
        and (
            choice.status == "recommended"
            or (
                choice.status == "acceptable"
                and choice.ratio is not None
                and conclude(choice.ratio, verdict.margin) != "slower"
            )
        )
    }


def _in_words(ours: Verdict, theirs: Verdict, *, same: bool, equal: bool) -> str:
    if same and equal:
        return say("the same: {answer}", answer=_answer(ours))
    both = {"first": _answer(ours), "second": _answer(theirs)}
    if same:
        return say(
            "the same, as neither run tells these two apart: {first} in the first, {second} in the second",
            **both,
        )
    return say("differ: {first} in the first, {second} in the second", **both)


def _answer(verdict: Verdict) -> str:
    labels = [choice.label for choice in verdict.choices if choice.trial in verdict.recommended]
    return say("use {trial}", trial=say(", ").join(labels)) if labels else say(verdict.answer)
