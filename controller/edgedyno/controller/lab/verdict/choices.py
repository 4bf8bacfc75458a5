"""Each trial as a candidate: its status under the requirements, and in words why it won or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.comparisons import against_recommended
from edgedyno.controller.lab.verdict.model import Choice, ChoiceStatus, Judgement, RatioInterval
from edgedyno.controller.lab.verdict.objectives import missed_ratio, write_missed
from edgedyno.controller.lab.verdict.phrases import in_brackets, one_by_one
from edgedyno.controller.lab.verdict.ratios import SampleBook, conclude
from edgedyno.controller.lab.verdict.requirements import judge_requirements
from edgedyno.controller.lab.verdict.states import Standing, is_not_tried, standing_of, void_reason
from edgedyno.core.stages import end_to_end_seconds

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.goals import Aim, Criterion
    from edgedyno.controller.lab.verdict.ranking import Ranking
    from edgedyno.core.job import Require
    from edgedyno.core.manifest import Failure
    from edgedyno.core.result import Result

# From the best to the worst that can be said of a trial.
ORDER: tuple[ChoiceStatus, ...] = (
    "recommended",
    "acceptable",
    "undecided",
    "rejected",
    "void",
    "failed",
    "skipped",
    "not tried",
)


class Candidate(NamedTuple):
    """A trial with what the requirements say of it."""

    result: Result
    status: ChoiceStatus
    judgements: list[Judgement]
    goal_reason: str = ""
    """Why the goal's quantity is not known of it."""


def examine(result: Result, require: Require, aim: Aim | None = None) -> Candidate:
    """Judge one trial by itself; the recommended one is found among the acceptable ones later."""
    if result.status != "ok":
        return Candidate(result, "not tried" if is_not_tried(result) else result.status, [])
    judgements = judge_requirements(result, require)
    if not result.validity.valid:
        return Candidate(result, "void", judgements)
    outcomes = {judgement.outcome for judgement in judgements}
    if "violated" in outcomes:
        return Candidate(result, "rejected", judgements)
    reason = aim.reason(result) if aim else ""
    if "undecided" in outcomes or result.latency_seconds is None or reason:
        return Candidate(result, "undecided", judgements, reason)
    return Candidate(result, "acceptable", judgements)


def make_choices(
    candidates: list[Candidate],
    ranking: Ranking,
    ratios: dict[str, RatioInterval],
    labels: dict[str, str],
    criterion: Criterion,
    book: SampleBook,
) -> list[Choice]:
    """Return the choices, the recommended one first, then by status, rank and latency."""
    words = _Words(ranking, criterion)
    ranks = {result.trial: position for position, result in enumerate(ranking.order, start=1)}
    choices = []
    for candidate in candidates:
        trial = candidate.result.trial
        status: ChoiceStatus = "recommended" if ranks.get(trial) == 1 else candidate.status
        ratio = ratios.get(trial)
        reasons = _reasons(candidate, status, ratio, words)
        standing = standing_of(candidate.result, ratio, margin=criterion.margin, book=book)
        choice = _choice(candidate, status, standing, labels[trial], ratio, reasons)
        aim = criterion.aim
        choices.append(
            structs.replace(
                choice,
                rank=ranks.get(trial),
                figure=criterion.figure(candidate.result),
                goal=aim.bounds(candidate.result) if aim else None,
            )
        )
    return sorted(choices, key=_order)


def _order(choice: Choice) -> tuple[int, float]:
    latency = choice.latency_seconds
    return (ORDER.index(choice.status), choice.rank or (latency.p50 if latency else float("inf")))


class _Words(NamedTuple):
    """What the reasons are told from."""

    ranking: Ranking
    criterion: Criterion


def _reasons(
    candidate: Candidate, status: ChoiceStatus, ratio: RatioInterval | None, words: _Words
) -> list[str]:
    if status == "recommended":
        return [_recommended_reason(candidate.result, words)]
    if status == "acceptable":
        if words.criterion.aim is not None:
            return _goal_reasons(candidate.result, ratio, words, words.criterion.aim)
        return _acceptable_reasons(candidate.result, ratio, words.ranking, words.criterion.margin)
    if status == "rejected":
        return [item.text for item in candidate.judgements if item.outcome == "violated"]
    if status == "undecided":
        return _undecided_reasons(candidate)
    return [_why_out(candidate.result, status)]


def _why_out(result: Result, status: ChoiceStatus) -> str:
    return (
        void_reason(result)
        if status == "void"
        else _failure_reason(result.failure, code=status != "not tried")
    )


def _recommended_reason(result: Result, words: _Words) -> str:
    ground, aim = words.ranking.preferred_for, words.criterion.aim
    if ground is None:
        return words.criterion.best(result.scenario)
    if aim is None:
        return say("preferred among equals in speed for {ground}", ground=ground)
    return say("preferred among equals by {quantity} for {ground}", quantity=say(aim.title), ground=ground)


def _goal_reasons(result: Result, ratio: RatioInterval | None, words: _Words, aim: Aim) -> list[str]:
    """Say how a trial that meets every requirement stands by the goal, and in speed where it is as good."""
    compared = aim.compare(result, words.ranking.order[0])
    if result not in words.ranking.as_fast:
        return [say("worse by the goal: {compared}", compared=compared)]
    as_good = say(
        "as good as the recommended one by the goal, as far as shown: {compared}", compared=compared
    )
    return [one_by_one([as_good, against_recommended(ratio, words.criterion.margin)])]


def _failure_reason(failure: Failure | None, *, code: bool) -> str:
    if failure is None:
        return say("no reason was given")
    return in_brackets(failure.text, failure.code) if code else failure.text


def _acceptable_reasons(
    result: Result, ratio: RatioInterval | None, ranking: Ranking, margin: float
) -> list[str]:
    if result in ranking.late and result.deadlines is not None:
        share = quantities.format_percent(missed_ratio(result.deadlines))
        missed = write_missed(result.deadlines)
        return [
            say(
                "misses more deadlines than the recommended one: {share}, {missed}",
                share=share,
                missed=missed,
            )
        ]
    if result in ranking.as_fast:
        return [say("as fast as the recommended one, as far as shown")]
    words = against_recommended(ratio, margin)
    if conclude(ratio, margin) == "slower":
        return [words]
    return [one_by_one([say("meets the requirements"), words])]


def _undecided_reasons(candidate: Candidate) -> list[str]:
    reasons = [
        one_by_one([item.text, say("{effort} would settle it", effort=item.settle)])
        if item.settle
        else item.text
        for item in candidate.judgements
        if item.outcome == "undecided"
    ]
    result = candidate.result
    if result.latency_seconds is None and not any(
        item.requirement.startswith("latency") for item in candidate.judgements if item.outcome == "undecided"
    ):
        reason = result.latency_seconds_reason or say("it was not measured")
        reasons.append(say("no latency: {reason}", reason=reason))
    return [*reasons, candidate.goal_reason] if candidate.goal_reason else reasons


def _choice(
    candidate: Candidate,
    status: ChoiceStatus,
    standing: Standing,
    label: str,
    ratio: RatioInterval | None,
    reasons: list[str],
) -> Choice:
    result = candidate.result
    return Choice(
        trial=result.trial,
        label=label,
        execution=result.execution,
        runtime=result.runtime,
        runtime_version=result.runtime_version,
        format=result.format,
        variant=result.variant,
        precision=result.precision,
        effective_precision=result.effective_precision,
        threads=result.threads,
        cores=result.cores,
        batch=result.batch,
        status=status,
        reasons=reasons,
        judgements=candidate.judgements,
        ratio=ratio,
        latency_seconds=result.latency_seconds,
        accuracy=result.accuracy,
        accuracy_drop=result.accuracy_drop,
        fidelity=result.fidelity,
        selftest=result.selftest,
        energy_joules_per_inference=result.energy_joules_per_inference,
        power_watts=result.power_watts,
        peak_rss_bytes=result.peak_rss_bytes,
        size_bytes=result.size_bytes,
        settled=result.settled,
        eliminated=result.eliminated,
        state=standing.state,
        state_text=standing.text,
        more_seconds=standing.more_seconds,
        scenario=result.scenario,
        figure="",
        throughput_per_second=result.throughput_per_second,
        throughput_per_second_interval=result.throughput_per_second_interval,
        deadlines=result.deadlines,
        soak=result.soak,
        preprocess_seconds=result.preprocess_seconds,
        postprocess_seconds=result.postprocess_seconds,
        stages_reason=result.stages_reason,
        end_to_end_seconds=end_to_end_seconds(result),
        after_switch_seconds=result.after_switch_seconds,
    )
