"""What this controller heard last, in memory: when each board spoke, its live readings."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.core.messages import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

# What is live leaves with the second heartbeat that did not come.
FRESH_HEARTBEATS = 2
HEARTBEAT_SECONDS = (
    30.0  # of agents that do not say theirs: what their configuration has unless it is changed
)
LONGEST_HEARTBEAT_SECONDS = 3600.0


class Reading(Struct, frozen=True):
    """A board's telemetry and when it came, on the fleet clock."""

    telemetry: Telemetry
    at_seconds: float

    @property
    def ends_at_seconds(self) -> float:
        """When it is no longer live."""
        heartbeat = self.telemetry.heartbeat_seconds or HEARTBEAT_SECONDS
        return self.at_seconds + FRESH_HEARTBEATS * min(heartbeat, LONGEST_HEARTBEAT_SECONDS)


class Presence:
    """Filled by the store's writer thread, read by the event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}
        self._unsaved: dict[str, float] = {}
        self._readings: dict[str, Reading] = {}

    def hear(self, board: str) -> None:
        """Note that a board spoke."""
        with self._lock:
            self._heard[board] = self._unsaved[board] = self._now()

    def take_telemetry(self, telemetry: Telemetry) -> None:
        """Keep a board's latest readings."""
        with self._lock:
            self._readings[telemetry.board] = Reading(telemetry, self._now())

    def forget_readings(self, board: str) -> None:
        """Drop the live readings of a board that is gone."""
        with self._lock:
            self._readings.pop(board, None)

    def heard(self) -> dict[str, float]:
        """Return when each board spoke last, in fleet seconds."""
        with self._lock:
            return dict(self._heard)

    def take_unsaved(self) -> dict[str, float]:
        """Return what is not in the store yet, and take it that it will be."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
            return unsaved

    def load_of(self, board: str) -> float | None:
        """Return a board's load average, where it is not stale."""
        with self._lock:
            reading = self._readings.get(board)
        fresh = reading is not None and reading.ends_at_seconds >= self._now()
        return reading.telemetry.load if reading is not None and fresh else None

    def fresh(self) -> dict[str, Telemetry]:
        """Return readings that are not stale."""
        now_seconds = self._now()
        with self._lock:
            self._readings = {b: r for b, r in self._readings.items() if r.ends_at_seconds >= now_seconds}
            return {board: reading.telemetry for board, reading in self._readings.items()}
