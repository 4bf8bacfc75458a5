"""Joules per inference from a power sensor's readings, by docs/energy.md; or no number, with the reason.

Pure: readings and a window in, figures out. Not responsible for reading a sensor (meter) or choosing one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from edgedyno.agent.measure.lag import Lag, fit_lag
from edgedyno.agent.measure.meanpower import Power, Span, Unmetered, distinct_updates, mean_power
from edgedyno.core.result import EnergySummary, PowerSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.sensors.base import Available, Reading, SensorSpec

MIN_UPDATES = 30  # docs/energy.md
IDLE_DRIFT_BOUND = 0.05  # docs/energy.md: of the difference between running and idle.
MIN_IDLE_UPDATES = 3
# Half of the window at least has to be left when what a late meter had not seen yet is taken off.
LEAST_LEFT = 0.5
# What moved without a sign of when: the baseline in between lies anywhere, so 95 % of half the way.
UNIFORM_95 = 0.475
__all__ = ["MIN_UPDATES", "Metered", "Unmetered", "Window", "lead_seconds", "meter_window"]


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


class _Lateness(NamedTuple):
    """What of the readings belongs to the window, for a meter that is late."""

    delay_seconds: float = 0.0
    lead_seconds: float = 0.0
    guard_seconds: float = 0.0
    tau_seconds: float = 0.0
    fitted: bool = False


class _Idle(NamedTuple):
    watts: float
    half_width: float
    moved: float
    drift: float
    """What of `moved` the noise of the two baselines does not explain."""


def lead_seconds(spec: SensorSpec, found: Available) -> float:
    """Return what a prompt sampled sensor has to leave out at a window's start.

    An update averages over the period before it, and a reading may be of an update that is a period old.
    """
    averaged = 2 * (found.period_seconds or 0.0) if spec.kind == "sampled" else 0.0
    return max(spec.lead_seconds, averaged)


def meter_window(
    spec: SensorSpec,
    found: Available,
    *,
    readings: Sequence[Reading],
    window: Window,
    idle_before: Sequence[Reading],
    idle_after: Sequence[Reading],
) -> Metered | Unmetered:
    """Return a window's energy per inference, total and above idle, each with a 95 % interval.

    `readings` have to reach over both ends of the window; the idle readings come from the same sensor object.
    """
    refusal = _too_short(spec, window)
    if refusal:
        return refusal
    everything = sorted([*idle_before, *readings, *idle_after], key=lambda reading: reading.at_seconds)
    late = _lateness(spec, found, everything, window)
    if isinstance(late, Unmetered):
        return late
    if late.fitted:
        # What was read in one phase may be of another: its own stamps, less the delay, tell of which.
        readings = everything
        idle_before, idle_after = _idle_parts(everything, late, window)
    used = _used(late, window)
    if used.seconds < LEAST_LEFT * spec.min_window_seconds:
        return Unmetered(
            f"{spec.source} is late by {late.delay_seconds + late.lead_seconds:.0f} s: {max(used.seconds, 0):.0f} s "
            f"of the window's {window.seconds:.0f} s are left, fewer than half of what it needs"
        )
    running = _running(spec, found, readings, used)
    if isinstance(running, Unmetered):
        return running
    idle = _idle(spec, found, late, idle_before, idle_after)
    if isinstance(idle, Unmetered):
        return idle
    settled = _unsettled(running, idle, late, used)
    return _judge_idle(running, idle) or _metered(spec, found, window, settled, idle, late)


def _running(
    spec: SensorSpec, found: Available, readings: Sequence[Reading], used: Span
) -> Power | Unmetered:
    """Return the power in what is left of the window, if the sensor was updated often enough."""
    running = mean_power(spec, found, readings, used)
    if isinstance(running, Power) and running.updates < MIN_UPDATES:
        return Unmetered(_few_updates(spec, running, used))
    return running


def _too_short(spec: SensorSpec, window: Window) -> Unmetered | None:
    if window.inferences < 1:
        return Unmetered("no inference ended in the window")
    if window.seconds < spec.min_window_seconds:
        return Unmetered(
            f"the window lasted {window.seconds:.1f} s; {spec.source} needs {spec.min_window_seconds:g} s"
        )
    return None


def _lateness(
    spec: SensorSpec, found: Available, everything: Sequence[Reading], window: Window
) -> _Lateness | Unmetered:
    """Find out how late the meter is, where that can be: by the load's two edges."""
    lead = lead_seconds(spec, found)
    if spec.lag_seconds is None:
        return _Lateness(lead_seconds=lead)
    span = Span(window.start_seconds, window.stop_seconds)
    lag: Lag | None = fit_lag(distinct_updates(everything), span, spec.lag_seconds)
    earliest, latest = spec.lag_seconds
    if lag is None and earliest < 0:
        return Unmetered(
            f"{spec.source}: when the load began and ended cannot be seen in its readings, so its clock cannot be "
            "laid beside the board's; say clock_offset"
        )
    if lag is None:
        return _Lateness(lead_seconds=max(lead, latest))
    guard = 2 * lag.grain_seconds
    return _Lateness(
        lag.delay_seconds,
        max(lead, lag.settle_seconds + guard),
        guard,
        lag.tau_seconds,
        fitted=True,
    )


def _idle_parts(
    everything: Sequence[Reading], late: _Lateness, window: Window
) -> tuple[list[Reading], list[Reading]]:
    begin = window.start_seconds + late.delay_seconds - late.guard_seconds
    end = window.stop_seconds + late.delay_seconds
    return (
        [each for each in everything if each.at_seconds < begin],
        [each for each in everything if each.at_seconds > end],
    )


def _used(late: _Lateness, window: Window) -> Span:
    """Return the window on the meter's own clock, without what it had not seen yet."""
    return Span(
        window.start_seconds + late.delay_seconds + late.lead_seconds,
        window.stop_seconds + late.delay_seconds - late.guard_seconds,
    )


def _few_updates(spec: SensorSpec, running: Power, used: Span) -> str:
    few = (
        f"{spec.source} was updated {running.updates} times in {used.seconds:.1f} s, "
        f"fewer than the {MIN_UPDATES} that a number needs"
    )
    return few if running.updates > 1 else f"{few}; it may be frozen: always the same value and stamp"


def _idle(
    spec: SensorSpec,
    found: Available,
    late: _Lateness,
    before: Sequence[Reading],
    after: Sequence[Reading],
) -> _Idle | Unmetered:
    powers = []
    # The load of whatever ran before is still seen for the delay, and then until the meter has settled.
    first = max(late.delay_seconds, 0.0) + late.lead_seconds
    for name, readings, settle in (("before", before, first), ("after", after, late.lead_seconds)):
        settled = [each for each in readings if each.at_seconds >= readings[0].at_seconds + settle]
        if len(settled) < MIN_IDLE_UPDATES:
            return Unmetered(f"no idle baseline {name} the window ({len(settled)} readings)")
        power = mean_power(spec, found, settled, Span(settled[0].at_seconds, settled[-1].at_seconds))
        if isinstance(power, Unmetered):
            return Unmetered(f"idle baseline {name} the window: {power.reason}")
        powers.append(power)
    one, two = powers
    halves = [_known_half_width(found, power) for power in powers]
    moved = abs(two.watts - one.watts)
    drift = math.sqrt(max(0.0, moved**2 - math.hypot(*halves) ** 2))
    return _Idle((one.watts + two.watts) / 2, math.hypot(*halves) / 2, moved, drift)


def _known_half_width(found: Available, power: Power) -> float:
    """Return a baseline's half-width; where updates were too few to tell their spread, a step of the sensor."""
    return power.half_width if math.isfinite(power.half_width) else found.resolution


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


def _unsettled(running: Power, idle: _Idle, late: _Lateness, used: Span) -> Power:
    """Widen the interval by what a late meter may still hold of the idle power at the span's start."""
    if not late.fitted or late.tau_seconds <= 0:
        return running
    left = math.exp(-late.lead_seconds / late.tau_seconds) * late.tau_seconds / used.seconds
    return running._replace(high=running.high + (running.watts - idle.watts) * left)


def _metered(
    spec: SensorSpec, found: Available, window: Window, running: Power, idle: _Idle, late: _Lateness
) -> Metered:
    seconds_each = window.seconds / window.inferences
    above = running.watts - idle.watts
    baseline = math.hypot(idle.half_width, UNIFORM_95 * idle.drift)
    return Metered(
        energy=EnergySummary(
            value=running.watts * seconds_each,
            low=max(running.low, 0.0) * seconds_each,
            high=running.high * seconds_each,
            idle_subtracted=above * seconds_each,
            source=spec.source,
            scope=found.scope,
            idle_subtracted_low=(above - math.hypot(running.watts - running.low, baseline)) * seconds_each,
            idle_subtracted_high=(above + math.hypot(running.high - running.watts, baseline)) * seconds_each,
            updates=running.updates,
            lag_seconds=late.delay_seconds + late.tau_seconds if late.fitted else None,
        ),
        power=PowerSummary(mean=running.watts, idle=idle.watts),
        updates=running.updates,
    )
