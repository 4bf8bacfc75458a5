"""When a series runs next. Pure: the time is given, so that steps of the clock and its summer time can be tried."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim
from msgspec import Struct

if TYPE_CHECKING:
    from edgedyno.core.rollout import Cron

_FUTURE = dt.timedelta(days=1)


class Due(Struct, frozen=True):
    """What a look at the clock brought."""

    run: dt.datetime | None
    """The time that a run is due for; None: none is."""
    next_at: dt.datetime
    missed: bool = False
    """Whether times passed that get no run: several at once, or too late."""


def next_after(cron: Cron, now: dt.datetime) -> dt.datetime:
    """Return the first time after `now`, in UTC. Raises StopIteration when none comes within 50 years."""
    local = now.astimezone(ZoneInfo(cron.timezone))
    times = (time.astimezone(dt.timezone.utc) for time in CronSim(cron.cron, local))
    # In the hour that comes twice the library answers for its first coming, which may lie before `now`.
    return next(time for time in times if time > now)


def look(cron: Cron, next_at: dt.datetime, now: dt.datetime) -> Due:
    """Return what is due at `now`, and the time after it.

    Of several times that were missed the newest gets a run, if it is not too late: never a storm. A clock that was
    set back does not give the same time twice; one that was far ahead, and is right again, is believed.
    """
    after = next_after(cron, now)
    if now < next_at:
        return Due(None, after if next_at - after > _FUTURE else next_at)
    due = _newest(cron, next_at, now)
    if due is None:
        return Due(None, after, missed=True)
    return Due(due, after, missed=due > next_at)


def _newest(cron: Cron, next_at: dt.datetime, now: dt.datetime) -> dt.datetime | None:
    """Return the newest time from `next_at` to `now` that is not too late."""
    oldest = max(next_at, now - dt.timedelta(seconds=cron.late))
    found = None
    time = next_after(cron, oldest - dt.timedelta(microseconds=1))
    while time <= now:
        found = time
        time = next_after(cron, time)
    return found
