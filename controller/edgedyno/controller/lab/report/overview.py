"""The page's first lines: each model and board with its answer and the three numbers that matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import retell, say
from edgedyno.controller.lab.report.words import ANSWERS, KINDS
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.objectives import write_missed, write_short

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.controller.lab.verdict import Choice, Verdict
    from edgedyno.core.result import Bounded, Result


@dataclass(frozen=True)
class Figure:
    """One number of the answer, its interval and what it was taken from; empty where there is none."""

    name: str
    value: str
    beside: str
    reason: str = ""
    """Why there is no number."""


@dataclass(frozen=True)
class Answer:
    """One line of the overview, and the head of one verdict."""

    key: str
    kind: str
    word: str
    model: str
    board: str
    label: str
    """What to deploy, or what comes nearest; empty where there is none."""
    main: list[Figure]
    """Latency (or what the scenario ranks by), accuracy, energy."""
    more: list[Figure]


def describe_answer(verdict: Verdict, best: Choice | None, result: Result | None, key: str) -> Answer:
    """Return the answer with the figures of the trial that it is about."""
    shown = best if best is not None and best.latency_seconds is not None else None
    return Answer(
        key=key,
        kind=KINDS[verdict.answer],
        word=say(ANSWERS[verdict.answer]),
        model=verdict.model,
        board=verdict.board,
        label=best.label if best else "",
        main=[_speed(shown), _accuracy(shown, result), _energy(shown, result)] if shown else [],
        more=_more(shown) if shown else [],
    )


def _speed(choice: Choice) -> Figure:
    if choice.scenario != "single-stream":
        return _scenario(choice)
    latency = choice.latency_seconds
    if latency is None:
        return Figure(say("Median latency"), "", "", say("not measured"))
    beside = _interval(latency.p50_low, latency.p50_high, quantities.format_seconds)
    return Figure(say("Median latency"), quantities.format_seconds(latency.p50), beside)


def _scenario(choice: Choice) -> Figure:
    parts = [write_missed(choice.deadlines)] if choice.deadlines else []
    if choice.soak:
        parts.append(say("{ratio} times the first minute", ratio=f"{choice.soak.slowdown.value:.2f}"))
    return Figure(choice.scenario, write_short(choice), say(", ").join(parts))


def _accuracy(choice: Choice, result: Result | None) -> Figure:
    accuracy = choice.accuracy
    if accuracy is not None:
        span = _interval(accuracy.low, accuracy.high, quantities.format_ratio)
        images = say("{count} images", count=accuracy.images)
        name = say("Accuracy, {metric}", metric=accuracy.metric)
        beside = say(", ").join(part for part in (span, images) if part)
        return Figure(name, quantities.format_ratio(accuracy.value), beside)
    agreement = result.fidelity.agreement if result and result.fidelity else None
    if agreement is not None:
        return Figure(say("Agreement with FP32 (fidelity, not accuracy)"), *_share(agreement.matched))
    reason = result.accuracy_reason if result else None
    return Figure(say("Accuracy"), "", "", retell(reason or "") or say("not measured"))


def _energy(choice: Choice, result: Result | None) -> Figure:
    energy = choice.energy_joules_per_inference
    if energy is None:
        reason = result.energy_joules_per_inference_reason if result else None
        return Figure(say("Energy per inference"), "", "", retell(reason or "") or say("not measured"))
    span = quantities.format_span(energy.low, energy.high, quantities.format_joules)
    beside = say(", ").join([span, retell(energy.scope)])
    return Figure(say("Energy per inference"), quantities.format_joules(energy.value), beside)


def _more(choice: Choice) -> list[Figure]:
    figures = []
    latency, drop = choice.latency_seconds, choice.accuracy_drop
    if latency is not None and choice.scenario != "single-stream":
        span = _interval(latency.p50_low, latency.p50_high, quantities.format_seconds)
        figures.append(Figure(say("Median latency"), quantities.format_seconds(latency.p50), span))
    if latency is not None:
        samples = say("{count} samples", count=latency.n)
        tail = latency.p95
        figures.append(
            Figure(say("p95 latency"), "", "", say("too few samples"))
            if tail is None
            else Figure(say("p95 latency"), quantities.format_seconds(tail), samples)
        )
    if drop is not None:
        span = _interval(drop.low, drop.high, quantities.format_points)
        figures.append(Figure(say("Drop against FP32"), quantities.format_points(drop.value), span))
    if choice.peak_rss_bytes is not None:
        figures.append(Figure(say("Peak memory"), quantities.format_bytes(choice.peak_rss_bytes), ""))
    if choice.size_bytes is not None:
        figures.append(Figure(say("File"), quantities.format_bytes(choice.size_bytes), ""))
    return figures


def _share(share: Bounded) -> tuple[str, str]:
    return quantities.format_percent(share.value), _interval(share.low, share.high, quantities.format_percent)


def _interval(low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    return "" if low is None or high is None else quantities.format_span(low, high, write)


def worth_a_table(answers: Sequence[Answer]) -> bool:
    """Tell whether the page holds several verdicts, which a table sets side by side."""
    return len(answers) > 1
