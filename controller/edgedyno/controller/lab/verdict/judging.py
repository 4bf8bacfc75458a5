"""From results to verdicts: one for each board and model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import headlines, notes
from edgedyno.controller.lab.verdict.briefs import brief_of
from edgedyno.controller.lab.verdict.choices import Candidate, examine, make_choices
from edgedyno.controller.lab.verdict.comparisons import compare_precisions, corrected_level
from edgedyno.controller.lab.verdict.confidence import describe_confidence
from edgedyno.controller.lab.verdict.fidelity import fidelity_notes, proof_of, selftest_notes, threads_notes
from edgedyno.controller.lab.verdict.goals import Criterion, aim_of
from edgedyno.controller.lab.verdict.labels import label_trials
from edgedyno.controller.lab.verdict.model import Answer, RatioInterval, Verdict
from edgedyno.controller.lab.verdict.objectives import seconds_of
from edgedyno.controller.lab.verdict.pareto import find_front
from edgedyno.controller.lab.verdict.ranking import fastest, rank
from edgedyno.controller.lab.verdict.ratios import LEVEL, SampleBook, measure_ratio
from edgedyno.controller.lab.verdict.runtimes import compare_runtimes
from edgedyno.controller.lab.verdict.stability import compare_with_earlier, find_flips
from edgedyno.controller.lab.verdict.states import is_simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgedyno.controller.lab.verdict.goals import Aim
    from edgedyno.core.job import JobSpec
    from edgedyno.core.result import Result


def judge(
    results: Iterable[Result],
    *,
    spec: JobSpec,
    read: Callable[[str], bytes],
    earlier: Sequence[Verdict] = (),
) -> list[Verdict]:
    """Return a verdict for each board and model; `read` gives an artifact's bytes by sha256.

    Samples that cannot be read leave their trial without paired ratios, and the verdict says so. `earlier` are
    verdicts of the same job's last run: where one chose otherwise, that is said.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in newest_attempts(results):
        groups.setdefault((result.board, result.model, result.job), []).append(result)
    before = {(verdict.board, verdict.model): verdict for verdict in earlier}
    return [
        _with_earlier(_judge_group(group, spec, SampleBook(read)), before.get(key[:2]))
        for key, group in sorted(groups.items())
    ]


def _with_earlier(verdict: Verdict, earlier: Verdict | None) -> Verdict:
    found = compare_with_earlier(verdict, earlier) if earlier else []
    if not found:
        return verdict
    notes_ = [*verdict.notes, *(item.text for item in found)]
    return replace(verdict, stability=[*verdict.stability, *found], notes=notes_)


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
    margin, labels = spec.measure.precision, label_trials(results)
    aim = aim_of(spec.goal, results)
    criterion = Criterion(spec.goal, aim, margin)
    candidates = [examine(result, spec.require, aim) for result in results]
    meeting = [one.result for one in candidates if one.status == "acceptable"]
    undecided = [one.result for one in candidates if one.status == "undecided" and one.result.latency_seconds]
    ranking = rank(meeting, book, margin=margin, aim=aim)
    measured = [one.result for one in candidates if one.status in {"acceptable", "undecided", "rejected"}]
    recommended = ranking.order[0] if ranking.order else None
    ratios = _ratios(measured, recommended, book)
    choices = make_choices(candidates, ranking, ratios, labels, criterion, book)
    comparisons = compare_precisions(measured, book, margin=margin)
    if_shown = _if_shown(recommended, undecided, ratios, book, aim)
    nearest = headlines.nearest_miss(choices) if not meeting and not undecided else None
    stability = find_flips(results, comparisons, labels)
    front = find_front(measured, labels, book, margin=margin)
    first = results[0]
    return Verdict(
        job=first.job,
        board=first.board,
        model=first.model,
        answer=_answer(candidates),
        headline=headlines.headline(
            choices, ranking.preferred_for, if_shown, nearest, spec.require, criterion
        ),
        brief=brief_of(choices, if_shown, nearest),
        recommended=[recommended.trial] if recommended else [],
        as_fast=[result.trial for result in ranking.as_fast],
        if_shown=if_shown,
        nearest=nearest,
        goal=spec.goal,
        proof=proof_of(measured, recommended),
        pareto_axes=front.axes,
        pareto=front.points,
        stability=stability,
        choices=choices,
        comparisons=comparisons,
        runtimes=compare_runtimes([*meeting, *undecided] or measured, recommended, book, margin=margin),
        requirements=spec.require,
        notes=[
            *headlines.if_shown_notes(choices, if_shown, criterion),
            *notes.accuracy_notes(recommended, spec.require),
            *fidelity_notes(choices),
            *selftest_notes(results, labels),
            *threads_notes(results, labels),
            *notes.effective_precision_notes(results),
            *notes.simulation_notes(results),
            *[item.text for item in stability],
            *notes.stage_notes(choices),
            *notes.validity_notes(results),
            *notes.void_but_wrong_notes(results, {one.result.trial: one.judgements for one in candidates}),
            *_unreadable(book),
        ],
        level=LEVEL,
        margin=margin,
        confidence=describe_confidence(choices, results, level=LEVEL, margin=margin),
    )


def _unreadable(book: SampleBook) -> list[str]:
    return [
        say("Samples of a trial cannot be read: {reason}.", reason=reason)
        for reason in book.unreadable.values()
    ]


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
    recommended: Result | None,
    undecided: list[Result],
    ratios: dict[str, RatioInterval],
    book: SampleBook,
    aim: Aim | None,
) -> str | None:
    """Return the best undecided trial by the goal, if it may be better than the recommended one."""
    if not undecided:
        return None
    known = [result for result in undecided if aim and aim.figure(result)]
    if aim is not None and known:
        best = min(known, key=aim.cost)
        return best.trial if recommended is None or aim.cost(best) < aim.cost(recommended) else None
    leader = fastest(undecided, book)
    if recommended is None:
        return leader.trial
    if aim is not None:
        return None
    ratio = ratios.get(leader.trial)
    faster = ratio.value < 1 if ratio else seconds_of(leader) < seconds_of(recommended)
    return leader.trial if faster else None
