"""What a decision needs to know of the world outside of the store: the time of day, and how busy boards are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.presence import Presence


class Moment(Struct, frozen=True):
    """One look at the world."""

    utc: dt.datetime
    load_of: Callable[[str], float | None]
    """The load average over one minute that a board told within the last minute; None where it told none."""


def moment_of(clock: FleetClock, presence: Presence) -> Moment:
    """Look now."""
    return Moment(clock.utc(), presence.load_of)
