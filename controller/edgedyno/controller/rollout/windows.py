"""When something may start by the wall clock, and when that changes. Pure: the time is given."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, get_args
from zoneinfo import ZoneInfo

from edgedyno.core.rollout import ClockTime, Day

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedyno.core.rollout import Window

DAYS: tuple[str, ...] = get_args(Day)
_MINUTES_OF_DAY = 1440
# A window on one weekday opens again within a week; one day more for those that begin just before.
_LOOK_AHEAD_DAYS = 9


def closed_until(windows: Sequence[Window], now: dt.datetime) -> dt.datetime | None:
    """Return when the next window opens, in UTC; None while one is open, and where there are no windows."""
    if not windows:
        return None
    spans = [span for window in windows for span in _spans(window, now)]
    if any(begin <= now < end for begin, end in spans):
        return None
    return min(begin for begin, _ in spans if begin > now)


def _spans(window: Window, now: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield the window's openings around `now`, in UTC.

    A local time that comes twice, when clocks go back, is taken as the first for the beginning and as the second
    for the end; one that does not come, when they go forward, is as much later.
    """
    zone = ZoneInfo(window.timezone)
    today = now.astimezone(zone).date()
    begin, end = minutes(window.from_), minutes(window.to)
    if end <= begin:
        end += _MINUTES_OF_DAY
    for offset in range(-2, _LOOK_AHEAD_DAYS):
        day = today + dt.timedelta(days=offset)
        if window.days and DAYS[day.weekday()] not in window.days:
            continue
        yield _instant(day, begin, zone, fold=0), _instant(day, end, zone, fold=1)


def minutes(time: ClockTime) -> int:
    """Return minutes since midnight."""
    if isinstance(time, int):
        return time
    hours, _, rest = time.partition(":")
    return 60 * int(hours) + int(rest)


def _instant(day: dt.date, minute: int, zone: ZoneInfo, *, fold: int) -> dt.datetime:
    naive = dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=minute)
    first = naive.replace(tzinfo=zone).astimezone(dt.timezone.utc)
    second = naive.replace(tzinfo=zone, fold=1).astimezone(dt.timezone.utc)
    # Where clocks go forward the second reading of a time that does not come lies before the first.
    return max(first, second) if fold else first
