"""What a decision needs to know of the world outside of the store: the time of day, and how busy boards are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.presence import Presence


class Moment(Struct, frozen=True):
    """One look at the world."""

    utc: dt.datetime
    load: Mapping[str, float] = {}
    """Load averages over one minute of the boards that told theirs within the last minute."""


def moment_of(clock: FleetClock, presence: Presence) -> Moment:
    """Look now."""
    load = {name: now.load for name, now in presence.fresh().items() if now.load is not None}
    return Moment(clock.utc(), load)
