"""Metrics of verdicts: what is recommended, which requirements hold, and on what share of the boards.

Of each board and model the newest verdict counts. Nothing here judges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ANSWERS = ("recommended", "cannot tell", "none meets")
OUTCOMES = ("met", "violated", "undecided")


class ToldJudgement(Struct):
    """What the metrics need of a judgement."""

    requirement: str
    outcome: str


class ToldChoice(Struct):
    """What the metrics need of a choice."""

    trial: str
    runtime: str = ""
    runtime_version: str | None = None
    format: str = ""
    variant: str = ""
    precision: str = ""
    threads: int = 0
    cores: str = ""
    batch: int = 1
    scenario: str = ""
    judgements: list[ToldJudgement] = []


class ToldVerdict(Struct):
    """What the metrics need of a verdict."""

    board: str
    model: str
    recommended: list[str]
    answer: str = ""
    goal: str = "latency"
    if_shown: str | None = None
    nearest: str | None = None
    choices: list[ToldChoice] = []

    def subject(self) -> ToldChoice | None:
        """Return the trial that the answer is about: recommended, else what may be, else what comes nearest."""
        wanted = [*self.recommended, self.if_shown, self.nearest]
        by_trial = {choice.trial: choice for choice in self.choices}
        return next((by_trial[trial] for trial in wanted if trial in by_trial), None)


class ToldGroupChoice(Struct):
    """What the metrics need of a deployment on several boards."""

    label: str
    share: float
    status: str


class ToldGroup(Struct):
    """What the metrics need of a verdict over several boards."""

    model: str
    board_type: str | None
    boards: list[str]
    boards_with_answer: int
    choices: list[ToldGroupChoice] = []


def verdict_families(verdicts: Sequence[ToldVerdict], groups: Sequence[ToldGroup]) -> Iterator[Metric]:
    """Return the families; of several verdicts on one board and model the last counts."""
    newest = list({(one.board, one.model): one for one in verdicts if one.answer}.values())
    yield _answers(newest)
    yield _recommended(newest)
    yield _requirements(newest)
    yield from _groups({(one.model, one.board_type or ""): one for one in groups}.values())


def _gauge(name: str, text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"edgedyno_verdict_{name}", text, labels=list(labels))


def _answers(verdicts: Sequence[ToldVerdict]) -> Metric:
    family = _gauge("answer", "1 for what the newest verdict answers.", ["board", "model", "answer"])
    for one in verdicts:
        for answer in ANSWERS:
            family.add_metric([one.board, one.model, answer], one.answer == answer)
    return family


def _recommended(verdicts: Sequence[ToldVerdict]) -> Metric:
    fields = (
        "runtime",
        "runtime_version",
        "precision",
        "format",
        "variant",
        "threads",
        "cores",
        "batch",
        "scenario",
    )
    family = _gauge(
        "recommended_info",
        "What the newest verdict recommends, and by what goal.",
        ["board", "model", "goal", *fields],
    )
    for one in verdicts:
        choice = one.subject()
        if one.recommended and choice is not None:
            values = [str(getattr(choice, name) or "") for name in fields]
            family.add_metric([one.board, one.model, one.goal, *values], 1)
    return family


def _requirements(verdicts: Sequence[ToldVerdict]) -> Metric:
    family = _gauge(
        "requirement",
        "1 for what is known of a requirement, by the trial that is recommended or comes nearest.",
        ["board", "model", "requirement", "outcome"],
    )
    for one in verdicts:
        choice = one.subject()
        for judgement in choice.judgements if choice else []:
            for outcome in OUTCOMES:
                labels = [one.board, one.model, judgement.requirement, outcome]
                family.add_metric(labels, judgement.outcome == outcome)
    return family


def _groups(groups: Iterable[ToldGroup]) -> Iterator[Metric]:
    labels = ["model", "board_type"]
    answered = _gauge("boards_ratio", "Share of the boards with a recommendation of their own.", labels)
    together = _gauge(
        "group_meets_ratio",
        "Share of the boards on which the group's best single deployment meets all.",
        labels,
    )
    for one in groups:
        name = [one.model, one.board_type or ""]
        if one.boards:
            answered.add_metric(name, one.boards_with_answer / len(one.boards))
        if one.choices:
            together.add_metric(name, one.choices[0].share)
    yield from (answered, together)
