"""The mean power over a span of a sensor's readings, with its 95 % interval, on the sensor's own time stamps.

Pure. Not responsible for what the span was (energy), nor for how late the sensor is (lag).
"""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from edgedyno.agent.measure.quantized import MAX_SPREAD_STEPS, mean_behind_steps
from edgedyno.agent.measure.spread import mean_with_spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.sensors.base import Available, Reading, SensorSpec

# A source that was silent for longer than this part of the window has not seen the window.
MAX_GAP_RATIO = 0.1
# Where readings are few, three times their usual distance is no silence, up to a quarter of the window.
USUAL_GAPS = 3
MAX_LONG_GAP_RATIO = 0.25
MIN_SPREAD_UPDATES = 4


class Span(NamedTuple):
    """A part of the monotonic clock."""

    start_seconds: float
    stop_seconds: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.stop_seconds - self.start_seconds


class Power(NamedTuple):
    """A mean power, its 95 % interval, and how many sensor updates it rests on."""

    watts: float
    low: float
    high: float
    updates: int

    @property
    def half_width(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2


class Unmetered(Struct, frozen=True):
    """Why there is no number."""

    reason: str


def mean_power(
    spec: SensorSpec, found: Available, readings: Sequence[Reading], span: Span
) -> Power | Unmetered:
    """Return the mean power over a span."""
    inside = [each for each in readings if span.start_seconds <= each.at_seconds <= span.stop_seconds]
    gap, allowed = _silence(found, inside, span)
    if gap > allowed:
        return Unmetered(f"{spec.source} gave no reading for {gap:.1f} s of {span.seconds:.1f} s")
    if spec.kind == "counter":
        return _counter_power(spec, found, inside)
    updates = distinct_updates(inside)
    return _sampled_power(found, updates) if updates else Unmetered(f"{spec.source} gave no reading")


def _silence(found: Available, inside: Sequence[Reading], span: Span) -> tuple[float, float]:
    """Return the longest time without a reading, and how long it may be: by the usual gap, within bounds."""
    stamps = [span.start_seconds, *(each.at_seconds for each in inside), span.stop_seconds]
    gaps = [later - earlier for earlier, later in pairwise(stamps)]
    usual = min(USUAL_GAPS * statistics.median(gaps), MAX_LONG_GAP_RATIO * span.seconds)
    allowed = max(MAX_GAP_RATIO * span.seconds, usual, USUAL_GAPS * (found.period_seconds or 0.0))
    return max(gaps), allowed


def distinct_updates(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings at which the sensor's mark changed, the first among them."""
    updates: list[Reading] = []
    for reading in readings:
        if not updates or reading.mark != updates[-1].mark:
            updates.append(reading)
    return updates


def _sampled_power(found: Available, updates: list[Reading]) -> Power:
    values = [each.value for each in updates]
    watts, sampling = mean_with_spread(values, weights=_weights(updates))
    deviation = statistics.pstdev(values)
    if found.resolution > 0 and deviation < MAX_SPREAD_STEPS * found.resolution:
        interval = mean_behind_steps(values, found.resolution, batch_half_width=sampling)
        return Power(*interval, len(updates))
    return Power(watts, watts - sampling, watts + sampling, len(updates))


def _weights(updates: list[Reading]) -> list[float]:
    """Trapezoid rule: each update stands for half the time to its neighbours."""
    if len(updates) == 1:
        return [1.0]
    steps = [later.at_seconds - earlier.at_seconds for earlier, later in pairwise(updates)]
    return [(left + right) / 2 for left, right in zip([0.0, *steps], [*steps, 0.0], strict=True)]


def _counter_power(spec: SensorSpec, found: Available, inside: Sequence[Reading]) -> Power | Unmetered:
    changes = distinct_updates(inside)
    if len(changes) < 2:  # noqa: PLR2004  (a difference needs two)
        return Unmetered(f"{spec.source} did not move in the window")
    if any(later.value < earlier.value for earlier, later in pairwise(changes)):
        return Unmetered(f"{spec.source} went backwards in the window")
    seconds = changes[-1].at_seconds - changes[0].at_seconds
    joules = changes[-1].value - changes[0].value
    rates = [
        (later.value - earlier.value) / (later.at_seconds - earlier.at_seconds)
        for earlier, later in pairwise(changes)
    ]
    watts = joules / seconds
    # What a counter adds up is all there was: only its ends are unsure, each by a step and an update period of
    # watts that vary as they did between readings.
    variable = max(statistics.pstdev(rates), 0.0)
    ends = math.sqrt(2) * (found.resolution + (watts + variable) * (found.period_seconds or 0.0)) / seconds
    _, sampling = mean_with_spread(rates)
    half_width = math.hypot(sampling if math.isfinite(sampling) else variable, ends)
    return Power(
        watts, watts - half_width, watts + half_width, _counter_updates(found, inside, changes, seconds)
    )


def _counter_updates(
    found: Available, inside: Sequence[Reading], changes: list[Reading], seconds: float
) -> int:
    """Count what the counter is known to do between two readings, if it moved each time it was read."""
    if len(changes) == len(inside) and found.period_seconds:
        return int(seconds / found.period_seconds)
    return len(changes)
