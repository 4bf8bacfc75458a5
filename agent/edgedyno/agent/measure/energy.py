"""Joules per inference from a power sensor's readings, by docs/method.md; or no number, with the reason.

Pure: readings and a window in, figures out. Not responsible for reading a sensor (sampling) or choosing one.
"""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from edgedyno.agent.measure.spread import mean_with_spread
from edgedyno.core.result import EnergySummary, PowerSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.sensors.base import Available, Reading, SensorSpec

MIN_UPDATES = 30  # docs/method.md
IDLE_DRIFT_BOUND = 0.05  # docs/method.md: of the difference between running and idle.
# A source that was silent for longer than this part of the window has not seen the window.
MAX_GAP_RATIO = 0.1
# Where readings are few, three times their usual distance is no silence, up to a quarter of the window.
USUAL_GAPS = 3
MAX_LONG_GAP_RATIO = 0.25
MIN_IDLE_UPDATES = 3


class Window(NamedTuple):
    """From the worker's own monotonic stamp before the first inference to the one after the last."""

    start_seconds: float
    stop_seconds: float
    inferences: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.stop_seconds - self.start_seconds


class Metered(Struct, frozen=True):
    """What a window took."""

    energy: EnergySummary
    power: PowerSummary
    updates: int


class Unmetered(Struct, frozen=True):
    """Why there is no number."""

    reason: str


class Power(NamedTuple):
    """A mean power, the half-width of its 95 % interval, and how many sensor updates it rests on."""

    watts: float
    half_width: float
    updates: int


def meter_window(
    spec: SensorSpec,
    found: Available,
    *,
    readings: Sequence[Reading],
    window: Window,
    idle_before: Sequence[Reading],
    idle_after: Sequence[Reading],
) -> Metered | Unmetered:
    """Return a window's energy per inference, total and above idle, with a 95 % interval of the total.

    `readings` have to reach over both ends of the window; the idle readings come from the same sensor object.
    """
    refusal = _too_short(spec, window)
    if refusal:
        return refusal
    used = Window(window.start_seconds + spec.lead_seconds, window.stop_seconds, window.inferences)
    running = mean_power(spec, found, readings, used)
    if isinstance(running, Unmetered):
        return running
    if running.updates < MIN_UPDATES:
        return Unmetered(
            f"{spec.source} was updated {running.updates} times in {used.seconds:.1f} s, "
            f"fewer than the {MIN_UPDATES} that a number needs"
        )
    idle = _idle(spec, found, idle_before, idle_after)
    if isinstance(idle, Unmetered):
        return idle
    return _judge_idle(running, idle) or _metered(spec, found, window, running, idle)


def _too_short(spec: SensorSpec, window: Window) -> Unmetered | None:
    if window.inferences < 1:
        return Unmetered("no inference ended in the window")
    if window.seconds < spec.min_window_seconds:
        return Unmetered(
            f"the window lasted {window.seconds:.1f} s; {spec.source} needs {spec.min_window_seconds:g} s"
        )
    return None


def mean_power(
    spec: SensorSpec, found: Available, readings: Sequence[Reading], window: Window
) -> Power | Unmetered:
    """Return the mean power over a window, on the sensor's own time stamps."""
    inside = [each for each in readings if window.start_seconds <= each.at_seconds <= window.stop_seconds]
    gap, allowed = _silence(found, inside, window)
    if gap > allowed:
        return Unmetered(f"{spec.source} gave no reading for {gap:.1f} s of {window.seconds:.1f} s")
    if spec.kind == "counter":
        return _counter_power(spec, found, inside)
    updates = distinct_updates(inside)
    return _sampled_power(found, updates) if updates else Unmetered(f"{spec.source} gave no reading")


def _silence(found: Available, inside: Sequence[Reading], window: Window) -> tuple[float, float]:
    """Return the longest time without a reading, and how long it may be: by the usual gap, within bounds."""
    stamps = [window.start_seconds, *(each.at_seconds for each in inside), window.stop_seconds]
    gaps = [later - earlier for earlier, later in pairwise(stamps)]
    usual = min(USUAL_GAPS * statistics.median(gaps), MAX_LONG_GAP_RATIO * window.seconds)
    allowed = max(MAX_GAP_RATIO * window.seconds, usual, USUAL_GAPS * (found.period_seconds or 0.0))
    return max(gaps), allowed


def distinct_updates(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings at which the sensor's mark changed, the first among them."""
    updates: list[Reading] = []
    for reading in readings:
        if not updates or reading.mark != updates[-1].mark:
            updates.append(reading)
    return updates


def _sampled_power(found: Available, updates: list[Reading]) -> Power:
    watts, sampling = mean_with_spread([each.value for each in updates], weights=_weights(updates))
    resolution = _quantization(found.resolution, [each.value for each in updates])
    return Power(watts, math.hypot(sampling, resolution), len(updates))


def _weights(updates: list[Reading]) -> list[float]:
    """Trapezoid rule: each update stands for half the time to its neighbours."""
    if len(updates) == 1:
        return [1.0]
    steps = [later.at_seconds - earlier.at_seconds for earlier, later in pairwise(updates)]
    return [(left + right) / 2 for left, right in zip([0.0, *steps], [*steps, 0.0], strict=True)]


def _quantization(step: float, values: list[float]) -> float:
    """Bound the error that rounding to `step` leaves in a mean.

    Noise with a standard deviation above the step averages rounding away: the error falls as
    exp(-2 pi² variance/step²) (Widrow and Kollár, "Quantization Noise", Gaussian dither). Without noise the
    mean may be off by half a step. What rounding adds to the spread itself, at most step²/4, is taken off.
    """
    if step <= 0:
        return 0.0
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return step / 2 * math.exp(-2 * math.pi**2 * max(0.0, variance / step**2 - 0.25))


def _counter_power(spec: SensorSpec, found: Available, inside: Sequence[Reading]) -> Power | Unmetered:
    changes = distinct_updates(inside)
    if len(changes) < 2:  # noqa: PLR2004  (a difference needs two)
        return Unmetered(f"{spec.source} did not move in the window")
    seconds = changes[-1].at_seconds - changes[0].at_seconds
    joules = changes[-1].value - changes[0].value
    rates = [
        (later.value - earlier.value) / (later.at_seconds - earlier.at_seconds)
        for earlier, later in pairwise(changes)
    ]
    watts = joules / seconds
    _, sampling = mean_with_spread(rates)
    # Each end may be one step and one update period away from its stamp.
    ends = 2 * (found.resolution + watts * (found.period_seconds or 0.0)) / seconds
    return Power(watts, math.hypot(sampling, ends), _counter_updates(found, inside, changes, seconds))


def _counter_updates(
    found: Available, inside: Sequence[Reading], changes: list[Reading], seconds: float
) -> int:
    """Count what the counter is known to do between two readings, if it moved each time it was read."""
    if len(changes) == len(inside) and found.period_seconds:
        return int(seconds / found.period_seconds)
    return len(changes)


class _Idle(NamedTuple):
    watts: float
    moved: float


def _idle(
    spec: SensorSpec, found: Available, before: Sequence[Reading], after: Sequence[Reading]
) -> _Idle | Unmetered:
    means = []
    for name, readings in (("before", before), ("after", after)):
        if len(readings) < MIN_IDLE_UPDATES:
            return Unmetered(f"no idle baseline {name} the window ({len(readings)} readings)")
        power = mean_power(
            spec, found, readings, Window(readings[0].at_seconds, readings[-1].at_seconds, inferences=0)
        )
        if isinstance(power, Unmetered):
            return Unmetered(f"idle baseline {name} the window: {power.reason}")
        means.append(power.watts)
    return _Idle(sum(means) / 2, abs(means[1] - means[0]))


def _judge_idle(running: Power, idle: _Idle) -> Unmetered | None:
    difference = running.watts - idle.watts
    if difference <= 0:
        return Unmetered(f"running took {running.watts:.3f} W, not more than idle with {idle.watts:.3f} W")
    if idle.moved > IDLE_DRIFT_BOUND * difference:
        return Unmetered(
            f"idle power moved by {idle.moved:.3f} W, more than {IDLE_DRIFT_BOUND:.0%} of the "
            f"{difference:.3f} W that running adds"
        )
    return None


def _metered(spec: SensorSpec, found: Available, window: Window, running: Power, idle: _Idle) -> Metered:
    seconds_each = window.seconds / window.inferences
    half_width = math.hypot(running.half_width, idle.moved / 2)
    return Metered(
        energy=EnergySummary(
            value=running.watts * seconds_each,
            low=max(running.watts - half_width, 0.0) * seconds_each,
            high=(running.watts + half_width) * seconds_each,
            idle_subtracted=(running.watts - idle.watts) * seconds_each,
            source=spec.source,
            scope=found.scope,
        ),
        power=PowerSummary(mean=running.watts, idle=idle.watts),
        updates=running.updates,
    )
