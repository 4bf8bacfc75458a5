"""From results to verdicts: one for each board and model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import headlines, notes
from edgedyno.controller.lab.verdict.choices import Candidate, examine, make_choices
from edgedyno.controller.lab.verdict.comparisons import compare_precisions, corrected_level
from edgedyno.controller.lab.verdict.confidence import describe_confidence
from edgedyno.controller.lab.verdict.labels import label_trials
from edgedyno.controller.lab.verdict.model import Answer, RatioInterval, Verdict
from edgedyno.controller.lab.verdict.objectives import seconds_of
from edgedyno.controller.lab.verdict.ranking import fastest, rank
from edgedyno.controller.lab.verdict.ratios import LEVEL, SampleBook, measure_ratio
from edgedyno.controller.lab.verdict.runtimes import compare_runtimes
from edgedyno.controller.lab.verdict.states import is_simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgedyno.core.job import JobSpec
    from edgedyno.core.result import Result


def judge(results: Iterable[Result], *, spec: JobSpec, read: Callable[[str], bytes]) -> list[Verdict]:
    """Return a verdict for each board and model; `read` gives an artifact's bytes by sha256.

    Samples that cannot be read leave their trial without paired ratios, and the verdict says so.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in newest_attempts(results):
        groups.setdefault((result.board, result.model, result.job), []).append(result)
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
    candidates = [examine(result, spec.require) for result in results]
    meeting = [one.result for one in candidates if one.status == "acceptable"]
    undecided = [one.result for one in candidates if one.status == "undecided" and one.result.latency_seconds]
    ranking = rank(meeting, book, margin=margin)
    measured = [one.result for one in candidates if one.status in {"acceptable", "undecided", "rejected"}]
    recommended = ranking.order[0] if ranking.order else None
    ratios = _ratios(measured, recommended, book)
    labels = label_trials(results)
    choices = make_choices(candidates, ranking, ratios, labels, margin, book)
    comparisons = compare_precisions(measured, book, margin=margin)
    if_shown = _if_shown(recommended, undecided, ratios, book)
    nearest = headlines.nearest_miss(choices) if not meeting and not undecided else None
    first = results[0]
    return Verdict(
        job=first.job,
        board=first.board,
        model=first.model,
        answer=_answer(candidates),
        headline=headlines.headline(choices, ranking.preferred_for, if_shown, nearest, spec.require, margin),
        recommended=[recommended.trial] if recommended else [],
        as_fast=[result.trial for result in ranking.as_fast],
        if_shown=if_shown,
        nearest=nearest,
        choices=choices,
        comparisons=comparisons,
        runtimes=compare_runtimes([*meeting, *undecided] or measured, recommended, book, margin=margin),
        requirements=spec.require,
        notes=[
            *headlines.if_shown_notes(choices, if_shown, margin),
            *notes.accuracy_notes(recommended, spec.require),
            *notes.effective_precision_notes(results),
            *notes.simulation_notes(results),
            *notes.flip_notes(comparisons),
            *notes.soak_notes(results, labels),
            *notes.stage_notes(choices),
            *notes.validity_notes(results),
            *[
                say("Samples of a trial cannot be read: {reason}.", reason=reason)
                for reason in book.unreadable.values()
            ],
        ],
        level=LEVEL,
        margin=margin,
        confidence=describe_confidence(choices, results, level=LEVEL, margin=margin),
    )


def _answer(candidates: list[Candidate]) -> Answer:
    timed = [candidate for candidate in candidates if not is_simulated(candidate.result)]
    statuses = {candidate.status for candidate in timed or candidates}
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
    faster = ratio.value < 1 if ratio else seconds_of(leader) < seconds_of(recommended)
    return leader.trial if faster else None
