"""What a result says about each quantity that can be required, and why it is silent where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.objectives import figure_of
from edgedyno.core.precision import ran_otherwise
from edgedyno.core.stages import scenario_kind
from edgedyno.core.statistics import TAIL_MIN_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.core.result import Result


@dataclass(frozen=True)
class Measured:
    """A quantity as found: its value with an interval where it has one, or the reason why it is unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    at_least: float | None = None
    """A bound from below that is known even without the value."""
    at_least_name: str = ""
    settle: str | None = None
    """What would give a value, when there is none."""
    scope: str = ""


@dataclass(frozen=True)
class Quantity:
    """How one requirement is read, written and judged."""

    name: str
    title: str
    """Template of what it is called."""
    sense: Literal["at most", "at least"]
    by_interval: bool
    """Whether the whole interval must lie within the limit; else the value decides."""
    write: Callable[[float], str]
    read: Callable[[Result], Measured]


# What a latency or a throughput is in each scenario, where it is not the plain one.
LATENCY_SCOPE = {
    "fixed-rate": phrase("from arrival"),
    "throughput": phrase("with all streams running"),
    "soak": phrase("over the whole soak"),
}
THROUGHPUT_SCOPE = {
    "single-stream": phrase("one inference at a time: 1 / mean latency"),
    "fixed-rate": phrase("limited by the rate of arrivals"),
    "soak": phrase("one inference at a time: 1 / mean latency"),
}


def _median(result: Result) -> Measured:
    latency = result.latency_seconds
    if latency is None:
        return _missing(result.latency_seconds_reason)
    if result.soak is not None and (last := figure_of(result)) is not None:
        return Measured(last.value, last.low, last.high, scope=say("at the end of the soak"))
    return Measured(latency.p50, latency.p50_low, latency.p50_high, scope=_latency_scope(result))


def _latency_scope(result: Result) -> str:
    return _said(LATENCY_SCOPE.get(scenario_kind(result)))


def _said(template: str | None) -> str:
    return say(template) if template else ""


def _percentile(rank: int) -> Callable[[Result], Measured]:
    name = f"p{rank}"

    def read(result: Result) -> Measured:
        latency = result.latency_seconds
        if latency is None:
            return _missing(result.latency_seconds_reason)
        value: float | None = getattr(latency, name)
        if value is not None:
            return Measured(value, scope=_latency_scope(result))
        needed = TAIL_MIN_SAMPLES[rank]
        more = max(needed - latency.n, 1)
        return Measured(
            None,
            reason=say(
                "{samples} samples do not support a {percentile}, {needed} do",
                samples=latency.n,
                percentile=name,
                needed=needed,
            ),
            at_least=latency.p50 if latency.p50_low is None else latency.p50_low,
            at_least_name=say("the median"),
            settle=say("1 more sample") if more == 1 else say("{samples} more samples", samples=more),
        )

    return read


def _throughput(result: Result) -> Measured:
    rate, interval = result.throughput_per_second, result.throughput_per_second_interval
    if rate is None:
        return _missing(result.latency_seconds_reason)
    scope = _said(THROUGHPUT_SCOPE.get(scenario_kind(result)))
    low, high = (interval.low, interval.high) if interval else (rate, rate)
    return Measured(rate, low, high, scope=scope)


def _accuracy(result: Result) -> Measured:
    accuracy = result.accuracy
    if accuracy is None:
        return _missing(result.accuracy_reason)
    return Measured(accuracy.value, accuracy.low, accuracy.high)


def _drop(result: Result) -> Measured:
    drop = result.accuracy_drop
    if drop is not None:
        return Measured(drop.value, drop.low, drop.high)
    if result.precision == "fp32":
        return Measured(0.0, 0.0, 0.0)
    return _missing(result.accuracy_drop_reason or result.accuracy_reason)


def _agreement(result: Result) -> Measured:
    fidelity = result.fidelity
    if fidelity is not None and fidelity.agreement is not None:
        matched = fidelity.agreement.matched
        return Measured(matched.value, matched.low, matched.high)
    if result.precision == "fp32" and not ran_otherwise(result):
        return Measured(1.0, 1.0, 1.0)
    return _missing((fidelity and fidelity.agreement_reason) or result.fidelity_reason)


def _power(result: Result) -> Measured:
    if result.power_watts is None:
        return _missing(result.power_watts_reason)
    return Measured(result.power_watts.mean)


def _energy(result: Result) -> Measured:
    energy = result.energy_joules_per_inference
    if energy is None:
        return _missing(result.energy_joules_per_inference_reason)
    return Measured(energy.value, energy.low, energy.high, scope=energy.scope)


def _plain(value: float | None) -> Measured:
    return _missing(None) if value is None else Measured(value)


def _missing(reason: str | None) -> Measured:
    return Measured(None, reason=reason or say("it was not measured"))


TAIL_TITLES = {90: phrase("p90 latency"), 95: phrase("p95 latency"), 99: phrase("p99 latency")}
QUANTITIES = (
    Quantity(
        "latency_p50",
        phrase("median latency"),
        "at most",
        by_interval=True,
        write=quantities.format_seconds,
        read=_median,
    ),
    *(
        Quantity(
            f"latency_p{rank}",
            TAIL_TITLES[rank],
            "at most",
            by_interval=False,
            write=quantities.format_seconds,
            read=_percentile(rank),
        )
        for rank in TAIL_MIN_SAMPLES
    ),
    Quantity(
        "throughput",
        phrase("throughput"),
        "at least",
        by_interval=True,
        write=quantities.format_rate,
        read=_throughput,
    ),
    Quantity(
        "accuracy",
        phrase("accuracy"),
        "at least",
        by_interval=True,
        write=quantities.format_ratio,
        read=_accuracy,
    ),
    Quantity(
        "accuracy_drop",
        phrase("accuracy drop"),
        "at most",
        by_interval=True,
        write=quantities.format_points,
        read=_drop,
    ),
    Quantity(
        "agreement",
        phrase("agreement with FP32"),
        "at least",
        by_interval=True,
        write=quantities.format_percent,
        read=_agreement,
    ),
    Quantity(
        "power", phrase("power"), "at most", by_interval=False, write=quantities.format_watts, read=_power
    ),
    Quantity(
        "energy",
        phrase("energy per inference"),
        "at most",
        by_interval=True,
        write=quantities.format_joules,
        read=_energy,
    ),
    Quantity(
        "memory",
        phrase("memory"),
        "at most",
        by_interval=False,
        write=quantities.format_bytes,
        read=lambda result: _plain(result.peak_rss_bytes),
    ),
    Quantity(
        "size",
        phrase("file size"),
        "at most",
        by_interval=False,
        write=quantities.format_bytes,
        read=lambda result: _plain(result.size_bytes),
    ),
)

TITLES = {quantity.name: quantity.title for quantity in QUANTITIES}
"""Templates of what each requirement is called."""
