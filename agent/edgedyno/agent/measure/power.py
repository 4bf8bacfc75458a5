"""Power and energy of each trial: a window of its own between two idle baselines.

A race interleaves trials far faster than power sensors answer, so metering runs after it, on the same warm
workers. Not responsible for what readings mean (energy) or for reading them (meter).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgedyno.agent.measure.energy import Unmetered, Window
from edgedyno.agent.measure.supervisor import TrialError

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.meter import Meter
    from edgedyno.agent.sensors.base import Reading

WINDOW_MARGIN = 1.2  # above the sensor's shortest window, for an inference time that was guessed too long
# Counters are read ten times a second, and a gap of more than a tenth of a window is refused.
WINDOW_LEAST_SECONDS = 2.0
IDLE_LEAST_SECONDS = 2.0
IDLE_MOST_SECONDS = 15.0
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
    contenders: Sequence[Contender], meter: Meter, *, seconds: float, stop: threading.Event
) -> None:
    """Meter one trial after the other within `seconds`; who gets no turn says why."""
    deadline = time.monotonic() + seconds
    running = [contender for contender in contenders if contender.worker is not None]
    idle = meter.record(idle_seconds(meter)) if running and not stop.is_set() else []
    for contender in running:
        if stop.is_set():
            return
        left = deadline - time.monotonic()
        if left < window_seconds(meter):
            contender.log.power_reason = (
                f"{left:.0f} s were left of the time to measure, "
                f"{meter.sensor.spec.source} needs {window_seconds(meter) + idle_seconds(meter):.0f} s for each trial, "
                f"so a longer measure.max_seconds"
            )
            continue
        idle = _meter_one(contender, meter, idle)


def _meter_one(contender: Contender, meter: Meter, idle_before: Sequence[Reading]) -> list[Reading]:
    """Meter one trial; return the idle baseline after it, which is the next one's before."""
    worker, log = contender.worker, contender.log
    if worker is None:
        return list(idle_before)
    wanted = window_seconds(meter)
    count = max(1, round(wanted / max(contender.median_seconds, 1e-6)))
    meter.start(avoid_cpus=contender.cell.cpus)
    try:
        answer = worker.burst(count, wanted)
    except TrialError as error:
        meter.stop()
        log.power_reason = f"while being metered: {error.failure.text}"
        return meter.record(idle_seconds(meter))
    readings = meter.stop()
    idle_after = meter.record(idle_seconds(meter))
    window = Window(answer.started_monotonic_seconds, answer.ended_monotonic_seconds, count)
    found = meter.summarise(readings, window, idle_before=idle_before, idle_after=idle_after)
    if isinstance(found, Unmetered):
        log.power_reason = found.reason
    else:
        log.energy, log.power, log.power_reason = found.energy, found.power, None
    log.metered = {"seconds": window.seconds, "inferences": float(count)}
    if meter.doubt:
        log.notes["power_doubt"] = meter.doubt
    return idle_after
