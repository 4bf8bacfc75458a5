"""What a scenario ranks trials by, as seconds that are better when fewer, and how each is written.

A camera's trials are ranked by missed deadlines first, and among those that are not shown to differ in that by
latency from arrival; streams by their throughput together; a soak by its last minutes. Nothing here decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.phrases import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.controller.lab.verdict.model import Choice
    from edgedyno.core.result import Deadlines, Result


class Figure(NamedTuple):
    """Seconds that rank a trial, with their 95 % interval where there is one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Objective:
    """How one scenario is ranked."""

    best: str
    """Template of what the first of the ranking is."""
    figure: Callable[[Result | Choice], Figure | None]
    write: Callable[[Result], str]
    """The figure in words, with its interval."""
    paired: bool
    """Whether bursts of a shared block can be compared as they are."""


def objective_of(result: Result | Choice) -> Objective:
    """Return what the result's scenario is ranked by."""
    return _of(result.scenario)


def best_of(scenario: str) -> str:
    """Return what the first of a scenario's ranking is."""
    return say(_of(scenario).best)


def _of(scenario: str) -> Objective:
    return _OBJECTIVES.get(scenario.partition(" ")[0], _OBJECTIVES["single-stream"])


def figure_of(result: Result | Choice) -> Figure | None:
    """Return the seconds that rank a trial; None where they were not measured."""
    return objective_of(result).figure(result)


def seconds_of(result: Result) -> float:
    """Return the seconds that rank a trial, infinite where there are none."""
    figure = figure_of(result)
    return figure.value if figure else math.inf


def missed_ratio(deadlines: Deadlines) -> float:
    """Return the share of arrivals that were not answered in time."""
    return deadlines.missed / deadlines.arrivals if deadlines.arrivals else 0.0


def keep_deadlines_best(candidates: Sequence[Result], *, level: float) -> list[Result]:
    """Return those not shown to miss more deadlines than the one that misses the smallest share.

    Wilson's score intervals of the two shares must not touch (Wilson, JASA 22, 1927). Misses come in runs, so
    these intervals are rather too narrow: what is kept apart by them may yet be equal, never the other way.
    """
    counted = [result.deadlines for result in candidates if result.deadlines is not None]
    if len(counted) < len(candidates) or not candidates:
        return list(candidates)
    least = min(counted, key=lambda deadlines: (missed_ratio(deadlines), -deadlines.arrivals))
    _, border = wilson(least, level)
    return [
        result
        for result in candidates
        if result.deadlines is not None and wilson(result.deadlines, level)[0] <= border
    ]


def wilson(deadlines: Deadlines, level: float) -> tuple[float, float]:
    """Return the score interval of the share that was missed."""
    n, share = deadlines.arrivals, missed_ratio(deadlines)
    if n == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(share * (1 - share) * z2 / n + (z2 / (2 * n)) ** 2) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def write_short(trial: Result | Choice) -> str:
    """Write the figure for a table: the value with the half-width of its interval, `-` where there is none."""
    figure = figure_of(trial)
    if figure is None:
        return "-"
    throughput = trial.scenario.startswith("throughput")
    value = (
        quantities.format_rate(1 / figure.value) if throughput else quantities.format_seconds(figure.value)
    )
    if figure.low is None or figure.high is None:
        return value
    return f"{value} ±{(figure.high - figure.low) / 2 / figure.value:.1%}"


def write_missed(deadlines: Deadlines) -> str:
    """Write how many deadlines were missed."""
    return say(
        "{missed} of {arrivals} deadlines missed", missed=deadlines.missed, arrivals=deadlines.arrivals
    )


def _latency(result: Result | Choice) -> Figure | None:
    latency = result.latency_seconds
    return Figure(latency.p50, latency.p50_low, latency.p50_high) if latency else None


def _throughput(result: Result | Choice) -> Figure | None:
    """Return seconds per inference of all streams together."""
    rate, interval = result.throughput_per_second, result.throughput_per_second_interval
    if interval is not None and interval.low and interval.high:
        return Figure(1 / interval.value, 1 / interval.high, 1 / interval.low)
    return Figure(1 / rate, None, None) if rate else None


def _sustained(result: Result | Choice) -> Figure | None:
    """Return the last minutes' median; its interval is the slowdown's, which has the first minutes' error too."""
    soak = result.soak
    if soak is None:
        return _latency(result)
    slowdown = soak.slowdown
    if slowdown.low is None or slowdown.high is None or slowdown.value <= 0:
        return Figure(soak.last_p50, None, None)
    scale = soak.last_p50 / slowdown.value
    return Figure(soak.last_p50, slowdown.low * scale, slowdown.high * scale)


def _write_latency(result: Result) -> str:
    figure = _latency(result)
    if figure is None:
        return say("not measured")
    return say("median {figure}", figure=with_interval(figure, quantities.format_seconds))


def _write_deadlines(result: Result) -> str:
    figure = _latency(result)
    if figure is None:
        return say("not measured")
    parts = [say("median from arrival {figure}", figure=with_interval(figure, quantities.format_seconds))]
    parts += [write_missed(result.deadlines)] if result.deadlines else []
    return listed(parts)


def _write_throughput(result: Result) -> str:
    figure = _throughput(result)
    if figure is None:
        return say("not measured")
    low, high = (1 / figure.high if figure.high else None), (1 / figure.low if figure.low else None)
    return with_interval(Figure(1 / figure.value, low, high), quantities.format_rate)


def _write_soak(result: Result) -> str:
    figure = _sustained(result)
    if figure is None:
        return say("not measured")
    words = say("median at the last {figure}", figure=with_interval(figure, quantities.format_seconds))
    if result.soak is None:
        return words
    return listed([words, say("{factor:.2f} times the first", factor=result.soak.slowdown.value)])


def with_interval(figure: Figure, write: Callable[[float], str]) -> str:
    """Write a figure, with its interval where it has one."""
    if figure.low is None or figure.high is None:
        return write(figure.value)
    return listed([write(figure.value), quantities.format_interval(figure.low, figure.high, write)])


_OBJECTIVES = {
    "single-stream": Objective(phrase("the fastest"), _latency, _write_latency, paired=True),
    "fixed-rate": Objective(
        phrase("the best by missed deadlines and then by latency"), _latency, _write_deadlines, paired=True
    ),
    "throughput": Objective(phrase("the highest throughput"), _throughput, _write_throughput, paired=True),
    "soak": Objective(phrase("the fastest in the long run"), _sustained, _write_soak, paired=False),
}
