"""The fleet clock: seconds during which a controller was there, for leases and timeouts.

It advances with the leading controller's monotonic clock and goes on from the database after a restart. So
steps of the wall clock change nothing, and time in which nobody could hear the boards does not count against
them.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from edgedyno.controller.store.settings import read_setting, write_setting

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_SETTING = "fleet_clock_seconds"
SAVE_SECONDS = 5.0  # what a crash may take off the clock: little against leases of a minute


def wall_clock() -> dt.datetime:
    """Return the time of day, which only schedules and windows go by."""
    return dt.datetime.now(dt.timezone.utc)


class FleetClock:
    """One controller's view of the fleet clock; `now` may be called from any thread."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        utc: Callable[[], dt.datetime] = wall_clock,
    ) -> None:
        self._monotonic = monotonic
        self.utc = utc
        self._base = (0.0, monotonic())
        self._saved_seconds = 0.0

    def now(self) -> float:
        """Return fleet seconds."""
        seconds, at = self._base
        return seconds + self._monotonic() - at

    def load(self, connection: Connection) -> None:
        """Go on from the database; never backwards."""
        stored = float(read_setting(connection, _SETTING) or 0.0)
        self._base = (max(stored, self.now()), self._monotonic())
        self._saved_seconds = stored

    @property
    def should_save(self) -> bool:
        """Tell whether a crash would now take off more than it may."""
        return self.now() - self._saved_seconds >= SAVE_SECONDS

    def save(self, connection: Connection) -> None:
        """Write the clock; the leader's part."""
        now = self.now()
        write_setting(connection, _SETTING, repr(now))
        self._saved_seconds = now
