"""The board's power meter while something is measured: one sensor, read by a thread of its own.

The thread keeps off the worker's cores where others are left, and sleeps between readings. Not responsible
for what readings mean (energy).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.place import locate
from edgedyno.agent.measure.energy import MIN_UPDATES, Metered, Unmetered, Window, lead_seconds, meter_window
from edgedyno.agent.sensors.base import Available, Reading, Recorder, Sensor, Unavailable, close_sensor
from edgedyno.agent.sensors.registry import choose_sensor

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgedyno.core.meters import MeterSettings

# Counters need no more than their two ends; ten readings a second show whether they move.
COUNTER_RATE_HERTZ = 10.0
DEFAULT_RATE_HERTZ = 10.0
_log = logging.getLogger(__name__)


class Meter:
    """A sensor in use: `start` before the window, `stop` after it, `summarise` for the figures."""

    def __init__(self, sensor: Sensor, found: Available, doubt: str | None = None) -> None:
        self.sensor = sensor
        self.found = found
        self.doubt = doubt
        """What another sensor of the same scope says, where the two disagree."""
        self.period_seconds = 1.0 / _rate(sensor, found)
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._readings: list[Reading] = []
        self._failure: str | None = None
        self._started = 0.0

    @property
    def min_window_seconds(self) -> float:
        """The shortest window that may give a number: by the source, and by its period for enough updates."""
        updates = (MIN_UPDATES + 2) * (self.found.period_seconds or 0.0)
        counted = updates if self.sensor.spec.kind == "sampled" else 0.0
        return max(self.sensor.spec.min_window_seconds, lead_seconds(self.sensor.spec, self.found) + counted)

    @property
    def settle_seconds(self) -> float:
        """How long after a change of load the sensor may still show the old one."""
        late = max(self.sensor.spec.lag_seconds or (0.0, 0.0))
        return max(lead_seconds(self.sensor.spec, self.found), late)

    def start(self, *, avoid_cpus: Collection[int] = ()) -> None:
        """Begin to read, away from `avoid_cpus`. Raises RuntimeError when it reads already."""
        if self._thread is not None:
            raise RuntimeError("Meter.start was called twice")
        self._readings, self._failure = [], None
        self._end.clear()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(frozenset(avoid_cpus),), name="power-meter")
        self._thread.start()

    def stop(self) -> list[Reading]:
        """End reading and return all readings since start."""
        if self._thread is None:
            return []
        self._end.set()
        self._thread.join()
        self._thread = None
        if isinstance(self.sensor, Recorder):
            self._readings = self.sensor.between(self._started, time.monotonic())
        return self._readings

    def close(self) -> None:
        """Give back what the sensor holds."""
        close_sensor(self.sensor)

    def record(self, seconds: float, stop: threading.Event | None = None) -> list[Reading]:
        """Read for a while, or until `stop` is set, and return the readings: an idle baseline."""
        self.start()
        (stop or self._end).wait(seconds)
        return self.stop()

    def summarise(
        self,
        readings: Sequence[Reading],
        window: Window,
        *,
        idle_before: Sequence[Reading],
        idle_after: Sequence[Reading],
    ) -> Metered | Unmetered:
        """Return what a window took, or why there is no number; a sensor that failed is named."""
        result = meter_window(
            self.sensor.spec,
            self.found,
            readings=readings,
            window=window,
            idle_before=idle_before,
            idle_after=idle_after,
        )
        if isinstance(result, Unmetered) and self._failure:
            return Unmetered(f"{result.reason}; the last failed reading said: {self._failure}")
        return result

    def _run(self, avoid: frozenset[int]) -> None:
        _keep_off(avoid)
        while True:
            self._read_once()
            if self._end.wait(self.period_seconds):
                self._read_once()
                return

    def _read_once(self) -> None:
        try:
            reading = self.sensor.read()
        except Exception as error:  # noqa: BLE001  (the boundary to plugins: a bad sensor must not end the run)
            _log.exception("power sensor failed", extra={"source": self.sensor.spec.source})
            reading = Unavailable(f"{type(error).__name__}: {error}")
        if isinstance(reading, Reading):
            self._readings.append(reading)
        else:
            self._failure = reading.reason


def _rate(sensor: Sensor, found: Available) -> float:
    """Twice the sensor's own rate, so that no update is missed, within what it can bear."""
    if sensor.spec.kind == "counter":
        return COUNTER_RATE_HERTZ
    wanted = 2.0 / found.period_seconds if found.period_seconds else DEFAULT_RATE_HERTZ
    return min(wanted, sensor.spec.max_rate_hertz or DEFAULT_RATE_HERTZ)


def _keep_off(avoid: frozenset[int]) -> None:
    others = os.sched_getaffinity(0) - avoid
    if others:
        os.sched_setaffinity(0, others)


def open_meter(root: Path = Path("/"), meters: Sequence[MeterSettings] = ()) -> Meter | Unavailable:
    """Return the meter that is configured, else the board's most trustworthy one, or why there is none."""
    place = locate(root)
    chosen = choose_sensor(place, read_board(place).profile, meters)
    return chosen if isinstance(chosen, Unavailable) else Meter(*chosen)
