"""What a scenario's bursts come to: rates, deadlines and soaks. Pure functions of what was measured."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.core.result import Bounded, Deadlines, Soak
from edgedyno.core.statistics import MIN_GROUPS, mean_error, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.core.job import Scenario, Sweep
    from edgedyno.core.result import Burst

FIRST_SECONDS = 60.0
SEGMENTS = 10
STEADY_TOLERANCE = 0.01  # a change below this is none that a deployment would notice
ALPHA = 0.05
TREND_SEGMENTS = 5  # with fewer, even a steady rise may be chance


def scenario_fields(sweep: Sweep, batch: int, log: TrialLog, *, count_void: bool) -> dict[str, Any]:
    """Return the fields of a result that its scenario fills in; empty for single-stream."""
    if isinstance(sweep.scenario, str):
        return {}
    bursts = [burst for burst in log.bursts if burst.valid or count_void]
    for name, fields in _FIELDS.items():
        if getattr(sweep.scenario, name) is not None:
            # What a switch costs is told by the race: here the first sample of a burst is of another kind.
            return {"after_switch_seconds": None, **fields(sweep.scenario, batch, log, bursts)}
    return {}


def _fixed_rate(scenario: Scenario, batch: int, _: TrialLog, bursts: Sequence[Burst]) -> dict[str, Any]:
    if scenario.fixed_rate is None:
        return {}
    found = count_deadlines(bursts, 1.0 / scenario.fixed_rate.fps)
    if found is None:
        return {"throughput_per_second": None}
    answered = (found.arrivals - found.dropped) / (found.arrivals * found.period_seconds)
    return {"deadlines": found, "throughput_per_second": batch * answered}


def _throughput(_: Scenario, batch: int, __: TrialLog, bursts: Sequence[Burst]) -> dict[str, Any]:
    rate = rate_of(bursts)
    if rate is None:
        return {"throughput_per_second": None}
    low, high = (None if end is None else batch * end for end in (rate.low, rate.high))
    whole = Bounded(batch * rate.value, low, high)
    return {"throughput_per_second": whole.value, "throughput_per_second_interval": whole}


def _soak(_: Scenario, batch: int, log: TrialLog, bursts: Sequence[Burst]) -> dict[str, Any]:
    """Give the last minute as the latency: that is what a board keeps up."""
    found = summarize_soak(bursts, throttled_after_seconds=log.throttled_after_seconds)
    if found is None:
        return {}
    latency = summarize(_portions(bursts)[1])
    return {
        "soak": found,
        "latency_seconds": latency,
        "throughput_per_second": batch / latency.mean if latency else None,
    }


_FIELDS: dict[str, Callable[[Scenario, int, TrialLog, Sequence[Burst]], dict[str, Any]]] = {
    "fixed_rate": _fixed_rate,
    "throughput": _throughput,
    "soak": _soak,
}


def count_deadlines(bursts: Sequence[Burst], period_seconds: float) -> Deadlines | None:
    """Count arrivals, and those answered later than one period after the arrival or not at all."""
    counted = [burst for burst in bursts if burst.arrivals is not None]
    arrivals = sum(burst.arrivals or 0 for burst in counted)
    if not arrivals:
        return None
    answered = [each for burst in counted for each in burst.latency_seconds[burst.after_switch :]]
    dropped = arrivals - len(answered)
    late = sum(each > period_seconds for each in answered)
    return Deadlines(period_seconds, arrivals, missed=dropped + late, dropped=dropped)


def rate_of(bursts: Sequence[Burst]) -> Bounded | None:
    """Return the inferences per second of all streams with an interval over windows; None without a window."""
    windows = [(burst.window_inferences, burst.window_seconds) for burst in bursts]
    known = [(count, seconds) for count, seconds in windows if count and seconds]
    if not known:
        return None
    value = sum(count for count, _ in known) / sum(seconds for _, seconds in known)
    if len(known) < MIN_GROUPS:
        return Bounded(value)
    rates = np.array([count / seconds for count, seconds in known])
    half_width = mean_error(rates).half_width(ALPHA)
    return Bounded(value, max(0.0, value - half_width), value + half_width)


def end_portion_seconds(seconds: float) -> float:
    """Return how long the first and the last part of a soak are that are compared."""
    return min(FIRST_SECONDS, seconds / SEGMENTS)


def summarize_soak(bursts: Sequence[Burst], *, throttled_after_seconds: float | None) -> Soak | None:
    """Compare the first minute (or tenth) with the last; None without bursts."""
    filled = [burst for burst in bursts if burst.latency_seconds]
    if not filled:
        return None
    seconds = _end(filled[-1]) - filled[0].started_monotonic_seconds
    first, last = (np.log([np.median(group) for group in part]) for part in _portions(filled))
    ratio = math.exp(float(np.median(last) - np.median(first)))
    slowdown = Bounded(ratio)
    if min(len(first), len(last)) >= MIN_GROUPS:
        half_width = math.hypot(*(mean_error(part).half_width(ALPHA) for part in (first, last)))
        slowdown = Bounded(ratio, ratio * math.exp(-half_width), ratio * math.exp(half_width))
    return Soak(
        seconds=seconds,
        first_p50=math.exp(float(np.median(first))),
        last_p50=math.exp(float(np.median(last))),
        slowdown=slowdown,
        throttled_after_seconds=throttled_after_seconds,
        steady_after_seconds=steady_after(filled),
    )


def _end(burst: Burst) -> float:
    return burst.started_monotonic_seconds + sum(burst.latency_seconds)


def _portions(bursts: Sequence[Burst]) -> tuple[list[list[float]], list[list[float]]]:
    """Return the samples of the bursts that began in the first part of a soak, and in the last."""
    filled = [burst for burst in bursts if burst.latency_seconds]
    start, end = filled[0].started_monotonic_seconds, _end(filled[-1])
    portion = end_portion_seconds(end - start)
    first = [burst for burst in filled if burst.started_monotonic_seconds <= start + portion]
    last = [burst for burst in filled if _end(burst) >= end - portion]
    return [burst.latency_seconds for burst in first], [burst.latency_seconds for burst in last]


def steady_after(bursts: Sequence[Burst]) -> float | None:
    """Return the seconds from which on the latency did not change any more; None when it still does.

    The series is cut into minutes (tenths of a short one). From the end backwards, each is compared with all
    that follow; the last that differs, at 5 % over all comparisons and by more than 1 %, ends the steps. What is
    left must not rise or fall throughout.
    """
    start = bursts[0].started_monotonic_seconds
    length = end_portion_seconds(_end(bursts[-1]) - start)
    segments: dict[int, list[float]] = {}
    for burst in bursts:
        index = int((burst.started_monotonic_seconds - start) / length)
        segments.setdefault(index, []).append(math.log(float(np.median(burst.latency_seconds))))
    order = [index for index in sorted(segments) if len(segments[index]) >= MIN_GROUPS]
    if len(order) < TREND_SEGMENTS:
        return None
    place = _last_step([segments[index] for index in order])
    if place == len(order) - 1:
        return None
    medians = [float(np.median(segments[index])) for index in order]
    while _has_trend(medians[place:]):
        place += 1
        if len(order) - place < TREND_SEGMENTS:
            return None
    return order[place] * length


def _last_step(segments: Sequence[Sequence[float]]) -> int:
    """Return the first segment after the last one whose level is not that of all that follow it."""
    alpha = ALPHA / (len(segments) - 1)
    for place in range(len(segments) - 2, -1, -1):
        later = [value for segment in segments[place + 1 :] for value in segment]
        if _differ(segments[place], later, alpha):
            return place + 1
    return 0


def _differ(some: Sequence[float], later: Sequence[float], alpha: float) -> bool:
    one, other = np.array(some), np.array(later)
    half_width = math.hypot(*(mean_error(each).half_width(alpha) for each in (one, other)))
    return abs(float(one.mean() - other.mean())) > max(half_width, STEADY_TOLERANCE)


def _has_trend(medians: Sequence[float]) -> bool:
    """Tell whether values rise or fall in the order of time (Mann 1945, Kendall 1975), and by enough to count."""
    n = len(medians)
    if n < TREND_SEGMENTS or abs(medians[-1] - medians[0]) <= STEADY_TOLERANCE:
        return False
    score = sum(
        int(np.sign(medians[later] - medians[sooner]))
        for sooner in range(n)
        for later in range(sooner + 1, n)
    )
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return abs(score) - 1 > NormalDist().inv_cdf(1 - ALPHA / 2) * deviation
