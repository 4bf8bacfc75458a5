"""Power and energy of each trial: a window of its own between two idle baselines.

A race interleaves trials far faster than power sensors answer, so metering runs after it, on the same warm
workers. Not responsible for what readings mean (energy) or for reading them (meter).
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.measure.energy import Unmetered
from edgedyno.agent.measure.metering import run_watched
from edgedyno.agent.measure.placement import move_runner
from edgedyno.agent.measure.supervisor import TrialError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.meter import Meter
    from edgedyno.agent.measure.metering import Ran
    from edgedyno.agent.measure.placement import Placement
    from edgedyno.agent.measure.validity import Watch
    from edgedyno.agent.sensors.base import Reading

WINDOW_MARGIN = 1.2  # above the sensor's shortest window, for an inference time that was guessed too long
# Counters are read ten times a second, and a gap of more than a tenth of a window is refused.
WINDOW_LEAST_SECONDS = 2.0
IDLE_LEAST_SECONDS = 2.0
IDLE_MOST_SECONDS = 15.0
MOST_TRIES = 3  # of a trial whose window was disturbed
BUDGET_SHARE = 0.5  # of the time left for measuring; latency decides more often than energy


def window_seconds(meter: Meter) -> float:
    """Return how long one trial is metered."""
    return max(WINDOW_LEAST_SECONDS, meter.min_window_seconds) * WINDOW_MARGIN


def idle_seconds(meter: Meter) -> float:
    """Return how long an idle baseline takes, with what a late meter still shows of the load before."""
    counted = max(IDLE_LEAST_SECONDS, min(IDLE_MOST_SECONDS, meter.min_window_seconds / 2))
    return counted + meter.settle_seconds


def needed_seconds(meter: Meter, trials: int) -> float:
    """Return how long metering takes for so many trials."""
    idle = idle_seconds(meter)
    return idle + trials * (window_seconds(meter) + idle)


def meter_all(
    contenders: Sequence[Contender], meter: Meter, surroundings: Surroundings, *, seconds: float
) -> None:
    """Meter one trial after the other within `seconds`; who gets no turn says why.

    A trial whose window was disturbed gets another one when all have had theirs, if there is time.
    """
    deadline = time.monotonic() + seconds
    stop = surroundings.stop
    waiting = deque(_Turn(contender) for contender in contenders if contender.worker is not None)
    idle = meter.record(idle_seconds(meter), stop) if waiting and not stop.is_set() else []
    while waiting and not stop.is_set():
        turn = waiting.popleft()
        left = deadline - time.monotonic()
        if left < window_seconds(meter):
            _no_time(turn, meter, left)
            continue
        _place(turn.contender, surroundings)
        turn.tries += 1
        after = idle_seconds(meter) + len(waiting) * (window_seconds(meter) + idle_seconds(meter))
        metered = _meter_one(turn.contender, meter, idle, surroundings, after)
        idle = metered.idle_after
        if metered.disturbed and turn.tries < MOST_TRIES:
            waiting.append(turn)


class Surroundings(NamedTuple):
    """What a metered window is run with."""

    watch: Watch
    placement: Placement
    stop: threading.Event
    tell: Callable[[float], None]
    """Takes the seconds that metering will still take; never called inside a burst."""
    expected: tuple[str, ...] = ()
    """How reasons begin that disturb nothing."""


class _Turn:
    """A trial that waits to be metered."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.tries = 0


class _Once(NamedTuple):
    """What one try left: the idle baseline after it, which is the next one's before."""

    idle_after: list[Reading]
    disturbed: bool = False


def _no_time(turn: _Turn, meter: Meter, left: float) -> None:
    log = turn.contender.log
    if turn.tries:
        log.power_reason = f"{log.power_reason}; no time was left to meter it again"
        return
    log.power_reason = (
        f"{max(left, 0.0):.0f} s were left of the time to measure, "
        f"{meter.sensor.spec.source} needs {window_seconds(meter) + idle_seconds(meter):.0f} s for each trial, "
        f"so a longer measure.max_seconds"
    )


def _place(contender: Contender, surroundings: Surroundings) -> None:
    """Give a trial the CPUs of the race's first round, and leave them to it."""
    placement = surroundings.placement
    cpus = placement.cpus(contender.cell, 0)
    contender.move(cpus)
    surroundings.watch.threads_apart = len(cpus) == contender.cell.threads or contender.cell.threads == 1
    move_runner(placement.spare([contender.cell], 0))


def _meter_one(
    contender: Contender,
    meter: Meter,
    idle_before: Sequence[Reading],
    surroundings: Surroundings,
    after_seconds: float,
) -> _Once:
    """Meter one trial once; `after_seconds` is what metering takes when its window is over."""
    worker, log, stop = contender.worker, contender.log, surroundings.stop
    if worker is None:
        return _Once(list(idle_before))
    meter.start(avoid_cpus=contender.cell.cpus)
    try:
        ran = run_watched(
            worker,
            surroundings.watch,
            median_seconds=contender.median_seconds,
            seconds=window_seconds(meter),
            stop=stop,
            between=lambda left: surroundings.tell(left + after_seconds),
            expected=surroundings.expected,
        )
    except TrialError as error:
        meter.stop()
        log.power_reason = f"while being metered: {error.failure.text}"
        return _Once(meter.record(idle_seconds(meter), stop))
    readings = meter.stop()
    idle_after = meter.record(idle_seconds(meter), stop)
    if stop.is_set():
        log.power_reason = "stopped while it was metered"
        return _Once([])
    _note(log, ran)
    if ran.void:
        log.power_reason = ran.disturbance
        return _Once(idle_after, disturbed=True)
    found = meter.summarise(readings, ran.window, idle_before=idle_before, idle_after=idle_after)
    if isinstance(found, Unmetered):
        log.power_reason = found.reason
    else:
        log.energy, log.power, log.power_reason = found.energy, found.power, None
    if meter.doubt:
        log.notes["power_doubt"] = meter.doubt
    return _Once(idle_after)


def _note(log: TrialLog, ran: Ran) -> None:
    """Keep what the window was like, for the result's conditions."""
    log.metered = {
        "seconds": ran.window.seconds,
        "inferences": float(ran.window.inferences),
        "paused_ratio": ran.paused_ratio,
        "disturbed_ratio": ran.disturbed / max(1, ran.rounds),
    }
    log.notes.pop("power_disturbed", None)
    if ran.disturbance and not ran.void:
        log.notes["power_disturbed"] = ran.disturbance
