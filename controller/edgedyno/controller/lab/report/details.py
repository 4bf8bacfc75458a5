"""What the page says of each trial beside its median: stages of an image, what switching costs, its scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.objectives import missed_ratio, write_short
from edgedyno.core.stages import scenario_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedyno.controller.lab.verdict import Choice
    from edgedyno.core.result import Bounded, Result

NOTHING = "\N{EN DASH}"
DEADLINE_COLUMNS = (
    phrase("Period"),
    phrase("Arrivals"),
    phrase("Missed"),
    phrase("Of those dropped"),
    phrase("Median from arrival"),
)
THROUGHPUT_COLUMNS = (phrase("Throughput"), phrase("95 % interval"))
SOAK_COLUMNS = (
    phrase("First"),
    phrase("Last"),
    phrase("Last to first"),
    phrase("Throttled after"),
    phrase("Steady after"),
)


@dataclass(frozen=True)
class Stages:
    """One variant at its fastest setting: medians of the three parts of an image's way."""

    choice: Choice
    parts: list[tuple[str, str, float]]
    """Kind (pre, invoke, post), its median in words, and its percentage of the longest way on the page."""
    end_to_end: str
    """Empty where the scenario's latencies do not add up to a way."""


@dataclass(frozen=True)
class Table:
    """Columns and rows of words; a row begins with its trial."""

    columns: list[str]
    rows: list[tuple[Choice, list[str]]]


def describe_stages(choices: Sequence[Choice]) -> list[Stages]:
    """Return a row for each variant and runtime that was timed from image to boxes, void trials left out."""
    best: dict[tuple[str | None, ...], tuple[Choice, list[tuple[str, float]]]] = {}
    for choice in choices:
        key = (choice.precision, choice.format, choice.runtime, choice.runtime_version)
        medians = _medians(choice)
        if medians and choice.state != "void" and (key not in best or _whole(medians) < _whole(best[key][1])):
            best[key] = (choice, medians)
    longest = max((_whole(medians) for _, medians in best.values()), default=0.0)
    return [_stages(choice, medians, longest) for choice, medians in best.values()]


def _medians(choice: Choice) -> list[tuple[str, float]]:
    before, after, latency = choice.preprocess_seconds, choice.postprocess_seconds, choice.latency_seconds
    if before is None or after is None or latency is None:
        return []
    return [("pre", before.p50), ("invoke", latency.p50), ("post", after.p50)]


def _whole(medians: list[tuple[str, float]]) -> float:
    return sum(seconds for _, seconds in medians)


def _stages(choice: Choice, medians: list[tuple[str, float]], longest: float) -> Stages:
    parts = [(kind, quantities.format_seconds(value), 100 * value / longest) for kind, value in medians]
    whole = choice.end_to_end_seconds
    return Stages(choice, parts, "" if whole is None else quantities.format_seconds(whole))


def describe_starts(choices: Sequence[Choice], results: Mapping[str, Result]) -> Table:
    """Return what comes before the steady state of each trial: loading, first inference, a switch to it."""
    rows = [
        (
            choice,
            [
                _seconds(result.load_seconds),
                _seconds(result.first_inference_seconds),
                _difference(result.after_switch_seconds),
            ],
        )
        for choice in choices
        if (result := results.get(choice.trial)) is not None and result.load_seconds is not None
    ]
    return Table([say("Load"), say("First inference"), say("First after a switch")], rows)


def describe_rounds(choices: Sequence[Choice], results: Mapping[str, Result]) -> Table:
    """Return how many rounds of each trial counted."""
    rows = [
        (choice, counts)
        for choice in choices
        if (result := results.get(choice.trial)) is not None and (counts := _rounds(result)) is not None
    ]
    return Table([say("Quiet rounds"), say("Void rounds")], rows)


def _rounds(result: Result) -> list[str] | None:
    conditions = msgspec.to_builtins(result.conditions)
    known = {**conditions.get("extra", {}), **conditions}
    void, quiet = known.get("void_rounds"), known.get("quiet_rounds")
    if quiet is None and void is not None and known.get("rounds") is not None:
        quiet = known["rounds"] - void
    return None if quiet is None or void is None else [str(quiet), str(void)]


def describe_scenario(choices: Sequence[Choice], results: Mapping[str, Result]) -> Table | None:
    """Return what a scenario other than single-stream measured; None for that one."""
    measured = [
        (choice, result)
        for choice in choices
        if (result := results.get(choice.trial)) is not None and result.latency_seconds is not None
    ]
    if not measured:
        return None
    columns, write = {
        "fixed-rate": (DEADLINE_COLUMNS, _deadlines),
        "throughput": (THROUGHPUT_COLUMNS, _throughput),
        "soak": (SOAK_COLUMNS, _soak),
    }.get(scenario_kind(measured[0][1]), ((), None))
    if write is None:
        return None
    return Table(
        [say(column) for column in columns], [(choice, write(result)) for choice, result in measured]
    )


def _deadlines(result: Result) -> list[str]:
    deadlines = result.deadlines
    if deadlines is None:
        return [NOTHING] * 5
    return [
        quantities.format_seconds(deadlines.period_seconds),
        str(deadlines.arrivals),
        say(
            "{value} ({span})",
            value=deadlines.missed,
            span=quantities.format_percent(missed_ratio(deadlines)),
        ),
        str(deadlines.dropped),
        write_short(result),
    ]


def _throughput(result: Result) -> list[str]:
    interval = result.throughput_per_second_interval
    if interval is None or interval.low is None or interval.high is None:
        return [write_short(result), NOTHING]
    return [
        quantities.format_rate(interval.value),
        quantities.format_span(interval.low, interval.high, quantities.format_rate),
    ]


def _soak(result: Result) -> list[str]:
    soak = result.soak
    if soak is None:
        return [NOTHING] * 5
    slowdown = f"\N{MULTIPLICATION SIGN}{soak.slowdown.value:.2f}"
    if soak.slowdown.low is not None and soak.slowdown.high is not None:
        span = say("{low} to {high}", low=f"{soak.slowdown.low:.2f}", high=f"{soak.slowdown.high:.2f}")
        slowdown = say("{value} ({span})", value=slowdown, span=span)
    return [
        quantities.format_seconds(soak.first_p50),
        quantities.format_seconds(soak.last_p50),
        slowdown,
        _seconds(soak.throttled_after_seconds),
        _seconds(soak.steady_after_seconds),
    ]


def _seconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else quantities.format_seconds(seconds)


def _difference(cost: Bounded | None) -> str:
    """Write how much longer something takes, with its interval."""
    if cost is None:
        return NOTHING
    words = _signed(cost.value)
    if cost.low is None or cost.high is None:
        return words
    span = say("{low} to {high}", low=_signed(cost.low), high=_signed(cost.high))
    return say("{value} ({span})", value=words, span=span)


def _signed(seconds: float) -> str:
    return f"{'+' if seconds > 0 else ''}{quantities.format_seconds(seconds) if seconds else '0 s'}"
