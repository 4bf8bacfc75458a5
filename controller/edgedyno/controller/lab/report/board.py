"""What the page says of one board and model: figures, tables and the reasons for what is missing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedyno.controller.lab.report import plots
from edgedyno.controller.lab.report.conditions import describe_conditions
from edgedyno.controller.lab.report.details import (
    Stages,
    Table,
    describe_rounds,
    describe_scenario,
    describe_stages,
    describe_starts,
)
from edgedyno.controller.lab.report.operators import Operators, describe_operators
from edgedyno.controller.lab.verdict.comparisons import settings_in_words
from edgedyno.controller.lab.verdict.ratios import SampleBook
from edgedyno.controller.lab.verdict.table import not_tried_text
from edgedyno.controller.lab.verdict.words import group_by_reasons

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from markupsafe import Markup

    from edgedyno.controller.lab.report.plots import Drift
    from edgedyno.controller.lab.report.texts import Texts
    from edgedyno.controller.lab.verdict import Choice, Verdict
    from edgedyno.core.result import Result, Samples

# More rows than this make figures that nobody reads; the table still has every trial.
MAX_ROWS = 24
RAN = {"acceptable", "undecided", "rejected", "void"}


@dataclass(frozen=True)
class Board:
    """One section of the page."""

    key: str
    verdict: Verdict
    choices: list[Choice]
    """All but those that a search left out."""
    not_tried: str
    best: Choice | None
    """The recommended one, else the fastest whose requirements are undecided."""
    groups: list[list[Choice]]
    """Those that ran and are not recommended, by status and reasons."""
    comparisons: list[tuple[str, list[str]]]
    out: list[list[Choice]]
    """Those that did not run, likewise."""
    medians: Markup | None
    spreads: Markup | None
    scatter: Markup | None
    scatter_reason: str
    ratios: Markup | None
    drifts: list[Drift]
    any_invalid: bool
    left_out: int
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


def describe_board(
    verdict: Verdict, results: Sequence[Result], *, read: Callable[[str], bytes], texts: Texts, key: str
) -> Board:
    """Gather what the page shows of one verdict."""
    by_trial = {result.trial: result for result in results}
    measured = [choice for choice in verdict.choices if choice.latency_seconds]
    shown = measured[:MAX_ROWS]
    samples = _samples(shown, by_trial, SampleBook(read))
    drifts, any_invalid = plots.draw_drifts(samples, texts, f"{key}-drift")
    require = verdict.requirements
    ran = [result for result in results if result.status == "ok"]
    return Board(
        key=key,
        verdict=verdict,
        choices=[one for one in verdict.choices if one.state != "not tried"],
        not_tried=not_tried_text(verdict.choices),
        best=_best(verdict),
        groups=group_by_reasons([one for one in verdict.choices if one.status in RAN]),
        comparisons=_comparisons(verdict),
        out=group_by_reasons([one for one in verdict.choices if one.status in {"failed", "skipped"}]),
        medians=plots.draw_medians(shown, require.latency_p50, texts, f"{key}-medians"),
        spreads=plots.draw_spreads(samples, texts, f"{key}-spreads"),
        scatter=plots.draw_accuracies(measured, require, texts, f"{key}-scatter"),
        scatter_reason=_most_common(result.accuracy_reason for result in ran),
        ratios=plots.draw_ratios(verdict.comparisons[:MAX_ROWS], verdict.margin, texts, f"{key}-ratios"),
        drifts=drifts,
        any_invalid=any_invalid,
        left_out=len(measured) - len(shown),
        stages=describe_stages(measured),
        stages_reasons=_counted(result.stages_reason for result in ran if result.stages_reason),
        starts=describe_starts(measured, by_trial, texts),
        rounds=describe_rounds(measured, by_trial, texts),
        scenario=describe_scenario(measured, by_trial, texts),
        operators=describe_operators(_best(verdict), by_trial, read),
        conditions=describe_conditions(ran),
        valid=sum(result.validity.valid for result in ran),
        not_checkable=_counted(gap for result in ran for gap in result.validity.not_checkable),
        measured=len(ran),
        energy_reasons=_counted(
            result.energy_joules_per_inference_reason or texts.not_measured
            for result in ran
            if result.energy_joules_per_inference is None
        ),
    )


def _best(verdict: Verdict) -> Choice | None:
    wanted = [*verdict.recommended, *([verdict.if_shown] if verdict.if_shown else [])]
    by_trial = {choice.trial: choice for choice in verdict.choices}
    return by_trial[wanted[0]] if wanted else None


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
    return Counter(words).most_common()


def _most_common(reasons: Iterable[str | None]) -> str:
    counted = _counted(reason for reason in reasons if reason)
    return counted[0][0] if counted else ""
