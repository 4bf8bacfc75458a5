"""What becomes of a rollout: it goes on, is paused, resumed, aborted. Each inside the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller import attempts, lifecycle
from edgedyno.controller.rollout.cron import next_after
from edgedyno.controller.rollout.decision import ABORTED, Decision, Standing, Wave, decide, resumed
from edgedyno.controller.rollout.gate import decision_of
from edgedyno.controller.rollout.holds import Hold, hold_of_job, in_utc
from edgedyno.controller.store import executions, jobs, rollouts
from edgedyno.controller.store.rollouts import Rolled
from edgedyno.core.errors import UnsupportedError
from edgedyno.core.manifest import Failure
from edgedyno.core.rollout import Cron

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import Connection

    from edgedyno.controller.rollout.moment import Moment

BY_OPERATOR = "paused by an operator"
SERIES = "scheduled"


class Survey(Struct, frozen=True):
    """What a look at an active job found."""

    job: Rolled
    waves: list[Wave]
    decision: Decision
    hold: Hold | None

    @property
    def moved(self) -> bool:
        """Tell whether the store has to be told."""
        if self.job.standing.status == "aborted":
            return any(wave.queued for wave in self.waves)  # an attempt that failed since may be queued again
        held = self.job.held_since_seconds is not None
        return self.decision.standing != self.job.standing or (self.hold is not None) != held


def survey(connection: Connection, moment: Moment) -> list[Survey]:
    """Look at every active job that anything may hold back."""
    return [_look(connection, job, moment) for job in rollouts.read_held_back(connection, ("active",))]


def _look(connection: Connection, job: Rolled, moment: Moment) -> Survey:
    waves = rollouts.read_waves(connection, job.job)
    decision = decide(job.placement.rollout, job.standing, waves)
    return Survey(job, waves, decision, hold_of_job(job.placement, decision, moment))


def advance(connection: Connection, name: str, moment: Moment, now_seconds: float) -> list[str]:
    """Keep what is decided of a job now; return the boards to ring."""
    job = rollouts.read_rolled(connection, name, lock=True)
    if job is None or job.state != "active":
        return []
    seen = _look(connection, job, moment)
    standing = seen.decision.standing
    if standing != job.standing:
        rollouts.set_standing(connection, name, standing)
        opened = range(job.standing.wave + 1, standing.wave + 1)
        rollouts.wait_from(connection, name, waves=opened, now_seconds=now_seconds)
    if standing.status == "aborted":
        return _abort(connection, name, standing.reason or "", now_seconds)
    _note_hold(connection, job, seen.hold, now_seconds)
    return waiting_boards(connection, name, seen.decision) if seen.hold is None else []


def _abort(connection: Connection, name: str, reason: str, now_seconds: float) -> list[str]:
    queued = [e for e in executions.of_jobs(connection, [name], lock=True) if e.state == "QUEUED"]
    for execution in queued:
        attempts.end(connection, execution, "CANCELED", f"{ABORTED}: {reason}", now_seconds)
    jobs.set_job(connection, name, state="active", failure=Failure(ABORTED, reason))
    return [execution.board for execution in queued]


def _note_hold(connection: Connection, job: Rolled, hold: Hold | None, now_seconds: float) -> None:
    """Keep since when a job is held back: that time does not count as waiting for boards."""
    since = job.held_since_seconds
    if hold is not None and since is None:
        rollouts.set_held(connection, job.job, now_seconds)
    elif hold is None and since is not None:
        waves = range(job.standing.wave + 1)
        rollouts.wait_later(connection, job.job, waves=waves, by_seconds=max(0.0, now_seconds - since))
        rollouts.set_held(connection, job.job, None)


def waiting_boards(connection: Connection, name: str, decision: Decision) -> list[str]:
    """Return the boards of a job that may start it now."""
    return [
        execution.board
        for execution in executions.of_jobs(connection, [name])
        if execution.state == "QUEUED" and decision.allows(execution.wave)
    ]


def pause(connection: Connection, name: str) -> None:
    """Let nothing more of a job, or no more runs of a series, start; what runs goes on.

    Raises UnsupportedError when it has ended or is paused.
    """
    job = _open_job(connection, name)
    if job.standing.status == "paused":
        raise UnsupportedError(f"the job {name} is paused already", code="job.paused")
    rollouts.set_standing(connection, name, Standing("paused", job.standing.wave, reason=BY_OPERATOR))


def resume(connection: Connection, name: str, *, now_seconds: float, utc: dt.datetime) -> list[str]:
    """Let a paused job or series go on; return the boards to ring. Raises UnsupportedError when it is not paused."""
    job = _open_job(connection, name)
    if job.standing.status != "paused":
        raise UnsupportedError(f"the job {name} is not paused", code="job.not-paused")
    standing = resumed(job.standing)
    rollouts.set_standing(connection, name, standing)
    if isinstance(job.placement.schedule, Cron) and job.state == SERIES:
        rollouts.set_next(connection, name, in_utc(next_after(job.placement.schedule, utc)))
        return []
    if standing.wave != job.standing.wave:
        rollouts.wait_from(connection, name, waves=[standing.wave], now_seconds=now_seconds)
    found = rollouts.read_rolled(connection, name)
    return [] if found is None else waiting_boards(connection, name, decision_of(connection, found))


def _open_job(connection: Connection, name: str) -> Rolled:
    lifecycle.find_job(connection, name, lock=True)
    job = rollouts.read_rolled(connection, name)
    if job is None or job.state not in (*jobs.OPEN_STATES, SERIES):
        state = job.state if job else "unknown"
        raise UnsupportedError(f"the job {name} has ended: {state}", code="job.ended")
    return job


def cancel(connection: Connection, name: str, now_seconds: float) -> list[str]:
    """Cancel a job, or a series with its runs; return the boards to ring."""
    found = lifecycle.find_job(connection, name, lock=True)
    if found.state != SERIES:
        return lifecycle.cancel(connection, name, now_seconds)
    jobs.set_job(connection, name, state="canceled", cancel_requested=True)
    rollouts.set_next(connection, name, None)
    touched: list[str] = []
    for run in rollouts.runs_of(connection, name, states=jobs.OPEN_STATES):
        touched += lifecycle.cancel(connection, run, now_seconds)
    return touched
