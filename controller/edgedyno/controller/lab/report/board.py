"""What the page says of one board and model: answer, reasons, figures, tables, images, conditions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import retell, say
from edgedyno.controller.lab.report.classes import ClassDrops, describe_classes
from edgedyno.controller.lab.report.conditions import describe_conditions
from edgedyno.controller.lab.report.details import (
    Stages,
    Table,
    describe_rounds,
    describe_scenario,
    describe_stages,
    describe_starts,
)
from edgedyno.controller.lab.report.examples import Budget, Gallery, make_gallery
from edgedyno.controller.lab.report.fidelity import FidelityTables, describe_fidelity
from edgedyno.controller.lab.report.figures import MAX_ROWS, Figures, draw_classes, draw_figures
from edgedyno.controller.lab.report.operators import Operators, describe_operators
from edgedyno.controller.lab.report.overview import Answer, describe_answer
from edgedyno.controller.lab.report.reasons import DID_NOT_RUN, RAN, Why, gather_reasons
from edgedyno.controller.lab.verdict.comparisons import settings_in_words
from edgedyno.controller.lab.verdict.ratios import SampleBook
from edgedyno.controller.lab.verdict.table import not_tried_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from markupsafe import Markup

    from edgedyno.controller.lab.report.examples.labels import Labels
    from edgedyno.controller.lab.verdict import Choice, Verdict
    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.result import Result, Samples


@dataclass(frozen=True)
class Source:
    """What all boards of a job are described from."""

    resolved: ResolvedJob
    labels: Labels
    read: Callable[[str], bytes]
    budget: Budget


@dataclass(frozen=True)
class Board:
    """One section of the page."""

    key: str
    verdict: Verdict
    answer: Answer
    choices: list[Choice]
    """All but those that a search left out."""
    not_tried: str
    whys: list[Why]
    """Why those that ran are not recommended."""
    why_of: dict[str, int]
    """Number of the reason of each trial."""
    out: list[Why]
    """Those that did not run."""
    comparisons: list[tuple[str, list[str]]]
    figures: Figures
    classes: list[tuple[ClassDrops, Markup | None]]
    gallery: Gallery | None
    fidelity: FidelityTables
    stages: list[Stages]
    stages_reasons: list[tuple[str, int]]
    starts: Table
    rounds: Table
    scenario: Table | None
    operators: Operators | None
    conditions: list[tuple[str, str]]
    valid: int
    not_checkable: list[tuple[str, int]]
    measured: int
    energy_reasons: list[tuple[str, int]]


def describe_board(verdict: Verdict, results: Sequence[Result], source: Source, *, key: str) -> Board:
    """Gather what the page shows of one verdict."""
    by_trial = {result.trial: result for result in results}
    measured = [choice for choice in verdict.choices if choice.latency_seconds]
    samples = _samples(measured[:MAX_ROWS], by_trial, SampleBook(source.read))
    ran = [result for result in results if result.status == "ok"]
    best = _best(verdict)
    choices = [one for one in verdict.choices if one.state != "not tried"]
    whys = gather_reasons(choices, RAN)
    drops = describe_classes(ran, source.labels.counts)
    return Board(
        key=key,
        verdict=verdict,
        answer=describe_answer(verdict, best, by_trial.get(best.trial) if best else None, key),
        choices=choices,
        not_tried=not_tried_text(verdict.choices),
        whys=whys,
        why_of={trial: why.number for why in whys for trial in why.trials},
        out=gather_reasons(choices, DID_NOT_RUN),
        comparisons=_comparisons(verdict),
        figures=draw_figures(verdict, measured, samples, by_trial, key),
        classes=[(one, draw_classes(one, f"{key}-class{index}")) for index, one in enumerate(drops)],
        gallery=_gallery(ran, best, source, key),
        fidelity=describe_fidelity(ran),
        stages=describe_stages(measured),
        stages_reasons=_counted(result.stages_reason for result in ran if result.stages_reason),
        starts=describe_starts(measured, by_trial),
        rounds=describe_rounds(measured, by_trial),
        scenario=describe_scenario(measured, by_trial),
        operators=describe_operators(best, by_trial, source.read),
        conditions=describe_conditions(ran),
        valid=sum(result.validity.valid for result in ran),
        not_checkable=_counted(gap for result in ran for gap in result.validity.not_checkable),
        measured=len(ran),
        energy_reasons=_counted(
            result.energy_joules_per_inference_reason or say("not measured")
            for result in ran
            if result.energy_joules_per_inference is None
        ),
    )


def _best(verdict: Verdict) -> Choice | None:
    """Return the recommended trial, else what the verdict is about: the one that may be, or the nearest."""
    wanted = [*verdict.recommended, *(one for one in (verdict.if_shown, verdict.nearest) if one)]
    by_trial = {choice.trial: choice for choice in verdict.choices}
    return by_trial[wanted[0]] if wanted else None


def _gallery(ran: list[Result], best: Choice | None, source: Source, key: str) -> Gallery | None:
    return make_gallery(
        ran,
        source.resolved,
        source.labels,
        runtime=best.runtime if best else None,
        read=source.read,
        budget=source.budget,
        key=key,
    )


def _samples(
    choices: list[Choice], by_trial: dict[str, Result], book: SampleBook
) -> list[tuple[Choice, Samples | None]]:
    return [
        (choice, book.samples(by_trial[choice.trial]) if choice.trial in by_trial else None)
        for choice in choices
    ]


def _comparisons(verdict: Verdict) -> list[tuple[str, list[str]]]:
    several = len({item.runtime for item in verdict.comparisons}) > 1
    under: dict[str, list[str]] = {}
    for item in verdict.comparisons:
        under.setdefault(settings_in_words(item, runtime=several), []).append(item.text)
    return list(under.items())


def _counted(words: Iterable[str]) -> list[tuple[str, int]]:
    return Counter(retell(word) for word in words).most_common()
