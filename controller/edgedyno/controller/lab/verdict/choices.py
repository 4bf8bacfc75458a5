"""Each trial as a candidate: its status under the requirements, and in words why it won or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.comparisons import against_recommended
from edgedyno.controller.lab.verdict.model import Choice, ChoiceStatus, Judgement, RatioInterval
from edgedyno.controller.lab.verdict.objectives import missed_ratio, objective_of, write_missed
from edgedyno.controller.lab.verdict.phrases import in_brackets, one_by_one
from edgedyno.controller.lab.verdict.ratios import SampleBook, conclude
from edgedyno.controller.lab.verdict.requirements import judge_requirements
from edgedyno.controller.lab.verdict.states import Standing, is_not_tried, standing_of, void_reason
from edgedyno.core.stages import end_to_end_seconds

if TYPE_CHECKING:
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


def examine(result: Result, require: Require) -> Candidate:
    """Judge one trial by itself; the recommended one is found among the acceptable ones later."""
    if result.status != "ok":
        return Candidate(result, "not tried" if is_not_tried(result) else result.status, [])
    judgements = judge_requirements(result, require)
    if not result.validity.valid:
        return Candidate(result, "void", judgements)
    outcomes = {judgement.outcome for judgement in judgements}
    if "violated" in outcomes:
        return Candidate(result, "rejected", judgements)
    if "undecided" in outcomes or result.latency_seconds is None:
        return Candidate(result, "undecided", judgements)
    return Candidate(result, "acceptable", judgements)


def make_choices(
    candidates: list[Candidate],
    ranking: Ranking,
    ratios: dict[str, RatioInterval],
    labels: dict[str, str],
    margin: float,
    book: SampleBook,
) -> list[Choice]:
    """Return the choices, the recommended one first, then by status, rank and latency."""
    ranks = {result.trial: position for position, result in enumerate(ranking.order, start=1)}
    choices = []
    for candidate in candidates:
        trial = candidate.result.trial
        status: ChoiceStatus = "recommended" if ranks.get(trial) == 1 else candidate.status
        ratio = ratios.get(trial)
        reasons = _reasons(candidate, status, ratio, ranking, margin)
        standing = standing_of(candidate.result, ratio, margin=margin, book=book)
        choices.append(_choice(candidate, status, standing, labels[trial], ranks.get(trial), ratio, reasons))
    return sorted(choices, key=_order)


def _order(choice: Choice) -> tuple[int, float]:
    latency = choice.latency_seconds
    return (ORDER.index(choice.status), choice.rank or (latency.p50 if latency else float("inf")))


def _reasons(
    candidate: Candidate, status: ChoiceStatus, ratio: RatioInterval | None, ranking: Ranking, margin: float
) -> list[str]:
    if status == "recommended":
        ground = ranking.preferred_for
        if ground:
            return [say("preferred among equals in speed for {ground}", ground=ground)]
        return [say(objective_of(candidate.result).best)]
    if status == "acceptable":
        return _acceptable_reasons(candidate.result, ratio, ranking, margin)
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
    return reasons


def _choice(
    candidate: Candidate,
    status: ChoiceStatus,
    standing: Standing,
    label: str,
    rank_: int | None,
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
        precision=result.precision,
        effective_precision=result.effective_precision,
        threads=result.threads,
        cores=result.cores,
        batch=result.batch,
        status=status,
        rank=rank_,
        reasons=reasons,
        judgements=candidate.judgements,
        ratio=ratio,
        latency_seconds=result.latency_seconds,
        accuracy=result.accuracy,
        accuracy_drop=result.accuracy_drop,
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
        figure=objective_of(result).write(result),
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
