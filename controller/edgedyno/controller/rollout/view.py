"""How a job's rollout stands, in words and counts, for people and the API. It decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgedyno.controller.rollout.decision import Decision, Wave, decide
from edgedyno.controller.rollout.gate import cpus_of
from edgedyno.controller.rollout.holds import Hold, hold_of_board, hold_of_job, hold_of_wave
from edgedyno.controller.store import executions, rollouts
from edgedyno.core.rollout import Cron

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.controller.store.rollouts import Rolled

Standing = Literal["running", "waiting", "paused", "aborted"]


class BoardPlace(Struct, frozen=True, omit_defaults=True):
    """A board's place in a rollout, and what its execution waits for."""

    board: str
    wave: int
    """From 1, as people count."""
    waits: Hold | None = None


class RolloutView(Struct, frozen=True, omit_defaults=True):
    """How far a job has come."""

    status: Standing
    wave: int
    """The newest that may run, from 1."""
    waves: list[Wave]
    reason: str | None = None
    """Why it is paused or aborted; of a series what was left out last."""
    waits: Hold | None = None
    """What all of it waits for."""
    max_boards: int | None = None
    continuous: bool = False
    cron: str | None = None
    timezone: str | None = None
    next_at: str | None = None
    series: str | None = None
    """The series that this is a run of."""
    runs: list[str] = []
    """Of a series, the newest first."""
    boards: list[BoardPlace] = []


def view(connection: Connection, job: Rolled, moment: Moment, *, boards: bool) -> RolloutView | None:
    """Return how a job stands, with each board's place if asked for; None where nothing ever held it back."""
    if job.free and job.series is None:
        return None
    waves = rollouts.read_waves(connection, job.job)
    decision = decide(job.placement.rollout, job.standing, waves)
    waits = hold_of_job(job.placement, decision, moment) if _can_wait(job, waves) else None
    schedule = job.placement.schedule
    series = isinstance(schedule, Cron) and job.state == "scheduled"
    return RolloutView(
        status=_status(job, decision, waits),
        wave=decision.standing.wave + 1,
        waves=waves,
        reason=decision.standing.reason,
        waits=waits,
        max_boards=job.placement.rollout.max_boards if job.placement.rollout else None,
        continuous=job.placement.continuous,
        cron=schedule.cron if isinstance(schedule, Cron) and series else None,
        timezone=schedule.timezone if isinstance(schedule, Cron) and series else None,
        next_at=job.next_at_utc if job.standing.status == "running" else None,
        series=job.series,
        runs=rollouts.runs_of(connection, job.job) if series else [],
        boards=_places(connection, job, decision, waits, moment) if boards else [],
    )


def _can_wait(job: Rolled, waves: list[Wave]) -> bool:
    return job.state in ("building", "active") and any(wave.queued for wave in waves)


def _status(job: Rolled, decision: Decision, waits: Hold | None) -> Standing:
    if decision.standing.status != "running":
        return decision.standing.status
    return "waiting" if waits is not None or job.state == "scheduled" else "running"


def _places(
    connection: Connection, job: Rolled, decision: Decision, waits: Hold | None, moment: Moment
) -> list[BoardPlace]:
    places = []
    for execution in executions.of_jobs(connection, [job.job]):
        hold = None
        if execution.state == "QUEUED" and job.state in ("building", "active"):
            cpus = cpus_of(connection, job, execution.board)
            hold = (
                (waits if decision.standing.status != "running" else None)
                or hold_of_wave(decision, execution.wave)
                or waits
                or hold_of_board(job.placement, execution.board, cpus, moment)
            )
        places.append(BoardPlace(execution.board, execution.wave + 1, hold))
    return places
