"""Runs of a series: when one is due, it is submitted as a job of its own. Inside the caller's transaction."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from edgedyno.controller import submission
from edgedyno.controller.rollout.cron import look
from edgedyno.controller.rollout.decision import Standing
from edgedyno.controller.rollout.holds import in_utc
from edgedyno.controller.rollout.steps import SERIES
from edgedyno.controller.store import jobs, rollouts
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.rollout import Cron

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.store.rollouts import Rolled


def due_series(connection: Connection, utc: dt.datetime) -> list[str]:
    """Return the series for which the clock brought something."""
    found = rollouts.read_held_back(connection, (SERIES,))
    return [job.job for job in found if _moves(job, utc)]


def _moves(job: Rolled, utc: dt.datetime) -> bool:
    cron, next_at = job.placement.schedule, _next_at(job)
    if job.standing.status != "running" or not isinstance(cron, Cron) or next_at is None:
        return False
    found = look(cron, next_at, utc)
    return found.run is not None or found.next_at != next_at


def run_if_due(
    connection: Connection,
    name: str,
    *,
    needs_reduce_range: submission.ReduceRange,
    now_seconds: float,
    utc: dt.datetime,
) -> str | None:
    """Submit a run of a series when one is due and none is under way; return it. What was left out is noted."""
    job = rollouts.read_rolled(connection, name, lock=True)
    if job is None or job.state != SERIES or not _moves(job, utc):
        return None
    cron, next_at = job.placement.schedule, _next_at(job)
    if not isinstance(cron, Cron) or next_at is None:
        return None
    found = look(cron, next_at, utc)
    rollouts.set_next(connection, name, in_utc(found.next_at))
    if found.run is None:
        _note(connection, name, f"{in_utc(next_at)} was missed" if found.missed else None)
        return None
    open_runs = rollouts.runs_of(connection, name, states=jobs.OPEN_STATES)
    if open_runs:
        _note(connection, name, f"{in_utc(found.run)} was left out: {open_runs[0]} was still going on")
        return None
    resolved = jobs.read_resolved(connection, name)
    try:
        run, _ = submission.submit_run(
            connection, resolved, needs_reduce_range=needs_reduce_range, now_seconds=now_seconds, series=name
        )
    except EdgedynoError as error:
        _note(connection, name, f"{in_utc(found.run)} was left out: {error}")
        return None
    _note(connection, name, None)
    return run


def _next_at(job: Rolled) -> dt.datetime | None:
    return dt.datetime.fromisoformat(job.next_at_utc.replace("Z", "+00:00")) if job.next_at_utc else None


def _note(connection: Connection, name: str, text: str | None) -> None:
    rollouts.set_standing(connection, name, Standing(reason=text))
