"""From results to verdicts: one for each board and model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.verdict import headlines, notes
from edgedyno.controller.lab.verdict.comparisons import compare_in_words, compare_precisions, corrected_level
from edgedyno.controller.lab.verdict.labels import label_trials
from edgedyno.controller.lab.verdict.model import (
    Answer,
    Choice,
    ChoiceStatus,
    Judgement,
    RatioInterval,
    Verdict,
)
from edgedyno.controller.lab.verdict.ranking import Ranking, fastest, median, rank
from edgedyno.controller.lab.verdict.ratios import LEVEL, SampleBook, conclude, measure_ratio
from edgedyno.controller.lab.verdict.requirements import judge_requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgedyno.core.job import JobSpec
    from edgedyno.core.result import Result


class _Candidate(NamedTuple):
    """A trial with what the requirements say of it."""

    result: Result
    status: ChoiceStatus
    judgements: list[Judgement]


def judge(results: Iterable[Result], *, spec: JobSpec, read: Callable[[str], bytes]) -> list[Verdict]:
    """Return a verdict for each board and model; `read` gives an artifact's bytes by sha256.

    Samples that cannot be read leave their trial without paired ratios, and the verdict says so.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in newest_attempts(results):
        groups.setdefault((result.board, result.model), []).append(result)
    return [_judge_group(group, spec, SampleBook(read)) for _, group in sorted(groups.items())]


def newest_attempts(results: Iterable[Result]) -> list[Result]:
    """Return one result for each trial of an execution: a late result never replaces a newer attempt."""
    newest: dict[tuple[str, str], Result] = {}
    for result in results:
        key = (result.execution, result.trial)
        if key not in newest or result.attempt >= newest[key].attempt:
            newest[key] = result
    return list(newest.values())


def meets_requirements(verdicts: Iterable[Verdict]) -> bool:
    """Tell whether every board got a recommendation; without any verdict nothing is met."""
    answers = [verdict.answer for verdict in verdicts]
    return bool(answers) and all(answer == "recommended" for answer in answers)


def _judge_group(results: list[Result], spec: JobSpec, book: SampleBook) -> Verdict:
    margin = spec.measure.precision
    candidates = [_examine(result, spec) for result in results]
    meeting = [one.result for one in candidates if one.status == "acceptable"]
    undecided = [one.result for one in candidates if one.status == "undecided" and one.result.latency_seconds]
    ranking = rank(meeting, book, margin=margin)
    measured = [one.result for one in candidates if one.status in {"acceptable", "undecided", "rejected"}]
    recommended = ranking.order[0] if ranking.order else None
    ratios = _ratios(measured, recommended, book)
    labels = label_trials(results)
    choices = _choices(candidates, ranking, ratios, labels, margin)
    comparisons = compare_precisions(measured, book, margin=margin)
    if_shown = _if_shown(recommended, undecided, ratios, book)
    nearest = headlines.nearest_miss(choices) if not meeting and not undecided else None
    first = results[0]
    return Verdict(
        job=first.job,
        board=first.board,
        model=first.model,
        answer=_answer(candidates),
        headline=headlines.headline(choices, ranking.preferred_for, if_shown, nearest, spec.require),
        recommended=[recommended.trial] if recommended else [],
        as_fast=[result.trial for result in ranking.as_fast],
        if_shown=if_shown,
        nearest=nearest,
        choices=choices,
        comparisons=comparisons,
        requirements=spec.require,
        notes=[
            *headlines.if_shown_notes(choices, if_shown, margin),
            *notes.accuracy_notes(recommended, spec.require),
            *notes.effective_precision_notes(results),
            *notes.flip_notes(comparisons),
            *notes.validity_notes(results),
            *[f"Samples of a trial cannot be read: {reason}." for reason in book.unreadable.values()],
        ],
        level=LEVEL,
        margin=margin,
        confidence=notes.describe_confidence(results, level=LEVEL, margin=margin),
    )


def _examine(result: Result, spec: JobSpec) -> _Candidate:
    if result.status != "ok":
        return _Candidate(result, result.status, [])
    judgements = judge_requirements(result, spec.require)
    if not result.validity.valid:
        return _Candidate(result, "void", judgements)
    outcomes = {judgement.outcome for judgement in judgements}
    if "violated" in outcomes:
        return _Candidate(result, "rejected", judgements)
    if "undecided" in outcomes or result.latency_seconds is None:
        return _Candidate(result, "undecided", judgements)
    return _Candidate(result, "acceptable", judgements)


def _answer(candidates: list[_Candidate]) -> Answer:
    statuses = {candidate.status for candidate in candidates}
    if "acceptable" in statuses:
        return "recommended"
    return "none meets" if "rejected" in statuses and "undecided" not in statuses else "cannot tell"


def _ratios(measured: list[Result], base: Result | None, book: SampleBook) -> dict[str, RatioInterval]:
    """Return each trial's ratio to the recommended one; all of them hold together at LEVEL."""
    others = [result for result in measured if result is not base and result.latency_seconds]
    if base is None:
        return {}
    level = corrected_level(len(others))
    ratios = {other.trial: measure_ratio(other, base, book, level=level) for other in others}
    return {trial: ratio for trial, ratio in ratios.items() if ratio is not None}


def _if_shown(
    recommended: Result | None, undecided: list[Result], ratios: dict[str, RatioInterval], book: SampleBook
) -> str | None:
    """Return the fastest undecided trial, if it may be faster than the recommended one."""
    if not undecided:
        return None
    leader = fastest(undecided, book)
    if recommended is None:
        return leader.trial
    ratio = ratios.get(leader.trial)
    faster = ratio.value < 1 if ratio else median(leader) < median(recommended)
    return leader.trial if faster else None


def _choices(
    candidates: list[_Candidate],
    ranking: Ranking,
    ratios: dict[str, RatioInterval],
    labels: dict[str, str],
    margin: float,
) -> list[Choice]:
    ranks = {result.trial: position for position, result in enumerate(ranking.order, start=1)}
    choices = []
    for candidate in candidates:
        trial = candidate.result.trial
        status: ChoiceStatus = "recommended" if ranks.get(trial) == 1 else candidate.status
        ratio = ratios.get(trial)
        reasons = _reasons(candidate, status, ratio, ranking, margin)
        choices.append(_choice(candidate, status, labels[trial], ranks.get(trial), ratio, reasons))
    return sorted(choices, key=_order)


def _order(choice: Choice) -> tuple[int, float]:
    order = ("recommended", "acceptable", "undecided", "rejected", "void", "failed", "skipped")
    latency = choice.latency_seconds
    return (order.index(choice.status), choice.rank or (latency.p50 if latency else float("inf")))


def _reasons(
    candidate: _Candidate, status: ChoiceStatus, ratio: RatioInterval | None, ranking: Ranking, margin: float
) -> list[str]:
    result = candidate.result
    if result.status != "ok":
        failure = result.failure
        return [f"{failure.text} ({failure.code})" if failure else "no reason was given"]
    if status == "void":
        return list(result.validity.reasons) or ["the run calls itself invalid"]
    if status == "rejected":
        return [item.text for item in candidate.judgements if item.outcome == "violated"]
    if status == "undecided":
        return _undecided_reasons(candidate)
    if status == "recommended":
        ground = ranking.preferred_for
        return [f"preferred among equals in speed for {ground}"] if ground else ["the fastest"]
    if result in ranking.as_fast:
        return ["as fast as the recommended one, as far as shown"]
    words = compare_in_words("it", "the recommended one", ratio, margin)
    early = ["left the race early, beaten beyond doubt"] if result.eliminated else []
    return [words if conclude(ratio, margin) == "slower" else f"meets the requirements; {words}", *early]


def _undecided_reasons(candidate: _Candidate) -> list[str]:
    reasons = [
        f"{item.text}; {item.settle} would settle it" if item.settle else item.text
        for item in candidate.judgements
        if item.outcome == "undecided"
    ]
    result = candidate.result
    if result.latency_seconds is None and not any("latency" in reason for reason in reasons):
        reasons.append(f"no latency: {result.latency_seconds_reason or 'it was not measured'}")
    return reasons


def _choice(
    candidate: _Candidate,
    status: ChoiceStatus,
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
    )
