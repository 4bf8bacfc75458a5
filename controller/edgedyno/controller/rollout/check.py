"""Checks what a job says of waves, times and windows beyond its types; every mistake with its place."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSimError

from edgedyno.controller.rollout.cron import next_after
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError
from edgedyno.core.rollout import Cron

if TYPE_CHECKING:
    from edgedyno.core.job import JobSpec
    from edgedyno.core.rollout import Rollout, Size

_FIELDS = 5
# Any moment will do to try an expression.
_SOME_TIME = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)


def check_spec(spec: JobSpec) -> None:
    """Raise ConfigError for a rollout, schedule or window that cannot be meant."""
    if spec.rollout is not None:
        _check_rollout(spec.rollout)
    if isinstance(spec.schedule, Cron):
        check_timezone(spec.schedule.timezone, "schedule.timezone")
        _check_cron(spec.schedule)
    for number, window in enumerate(spec.windows):
        check_timezone(window.timezone, f"windows[{number}].timezone")


def check_timezone(name: str, place: str) -> None:
    """Raise ConfigError for a time zone that there is not."""
    known = available_timezones()
    if name not in known:
        hint = nearest(name, sorted(known))
        raise ConfigError(
            f"{place}: found {name!r}, expected a time zone such as 'Europe/Berlin'{hint}",
            code="schedule.invalid",
        )
    ZoneInfo(name)


def _check_cron(schedule: Cron) -> None:
    found = f"schedule.cron: found {schedule.cron!r}, expected"
    fields = len(schedule.cron.split())
    if fields != _FIELDS:
        raise ConfigError(
            f"{found} five fields (minute, hour, day of the month, month, day of the week) such as '0 2 * * *', "
            f"not {fields}",
            code="schedule.invalid",
        )
    try:
        next_after(schedule, _SOME_TIME)
    except CronSimError as error:
        raise ConfigError(
            f"{found} an expression such as '0 2 * * mon-fri': {str(error).lower()}", code="schedule.invalid"
        ) from error
    except (StopIteration, RuntimeError) as error:
        raise ConfigError(f"{found} a time that comes", code="schedule.invalid") from error


def _check_rollout(rollout: Rollout) -> None:
    sizes = [("canary", rollout.canary)] if isinstance(rollout.canary, (int, str)) else []
    named: list[tuple[str, Size]] = [
        *sizes,
        *((f"waves[{number}]", size) for number, size in enumerate(rollout.waves)),
    ]
    for (before, smaller), (place, size) in zip([("", 0), *named], named, strict=False):
        share = _share(size)
        if share is not None and not 0 < share <= 100:  # noqa: PLR2004 - per cent
            raise ConfigError(
                f"rollout.{place}: found {size!r}, expected a share above 0% and up to 100%",
                code="rollout.invalid",
            )
        if isinstance(size, int) == isinstance(smaller, int) and before and _number(size) <= _number(smaller):
            raise ConfigError(
                f"rollout.{place}: found {size!r} after {smaller!r} of {before}, expected more: waves tell how many "
                "boards have the job in all",
                code="rollout.invalid",
            )


def _share(size: Size) -> float | None:
    return float(size.strip().rstrip("%")) if isinstance(size, str) else None


def _number(size: Size) -> float:
    share = _share(size)
    return float(size) if share is None else share
