"""Queries over how jobs are rolled out: their placement, their standing, their executions by wave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, func, or_, select, update

from edgedyno.controller.rollout.decision import Standing, Wave
from edgedyno.controller.rollout.placement import (
    Placement,
    decode_placement,
    decode_standing,
    encode_standing,
)
from edgedyno.controller.store.tables import executions, jobs
from edgedyno.core.messages import TERMINAL_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLUMNS = (
    jobs.c.job,
    jobs.c.name,
    jobs.c.state,
    jobs.c.placement,
    jobs.c.standing,
    jobs.c.held_since_seconds,
    jobs.c.series,
    jobs.c.next_at_utc,
)
_COUNTED = {"QUEUED": "queued", "IN_PROGRESS": "running", "SUCCEEDED": "succeeded"}


class Rolled(Struct, frozen=True):
    """A job with what holds it back."""

    job: str
    name: str
    state: str
    placement: Placement
    standing: Standing
    held_since_seconds: float | None
    series: str | None
    next_at_utc: str | None

    @property
    def free(self) -> bool:
        """Tell whether nothing ever holds it back, as it stands."""
        return self.placement == Placement() and self.standing == Standing()

    @property
    def goes_on(self) -> bool:
        """Tell whether it does not end with its executions, because more may come."""
        return self.placement.continuous and self.standing.status != "aborted"


def read_rolled(connection: Connection, job: str, *, lock: bool = False) -> Rolled | None:
    """Return one job; with `lock`, nobody else decides about it until this transaction ends."""
    query: Select[tuple[object, ...]] = select(*_COLUMNS).where(jobs.c.job == job)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return _rolled(row) if row else None


def read_held_back(connection: Connection, states: Iterable[str]) -> list[Rolled]:
    """Return the jobs in these states that anything may hold back, the oldest first."""
    query: Select[tuple[object, ...]] = select(*_COLUMNS).where(
        jobs.c.state.in_(list(states)), or_(jobs.c.placement.is_not(None), jobs.c.standing.is_not(None))
    )
    return [_rolled(row) for row in connection.execute(query.order_by(jobs.c.position))]


def read_newest(connection: Connection, limit: int) -> list[Rolled]:
    """Return the newest jobs that anything may hold back, the newest first."""
    query: Select[tuple[object, ...]] = select(*_COLUMNS).where(
        or_(jobs.c.placement.is_not(None), jobs.c.standing.is_not(None), jobs.c.series.is_not(None))
    )
    return [_rolled(row) for row in connection.execute(query.order_by(jobs.c.position.desc()).limit(limit))]


def read_waves(connection: Connection, job: str) -> list[Wave]:
    """Return a job's executions by wave, counted."""
    query = (
        select(executions.c.wave, executions.c.state, func.count())
        .where(executions.c.job == job)
        .group_by(executions.c.wave, executions.c.state)
    )
    counts: dict[int, dict[str, int]] = {}
    for wave, state, count in connection.execute(query):
        kind = _COUNTED.get(state, "failed")
        of_wave = counts.setdefault(wave, {})
        of_wave[kind] = of_wave.get(kind, 0) + count
    return [Wave(**counts.get(number, {})) for number in range(max(counts, default=-1) + 1)]


def held_back(connection: Connection) -> set[str]:
    """Return the queued executions that the controller itself holds back: their boards are not waited for."""
    query = select(executions.c.execution, executions.c.wave, jobs.c.standing, jobs.c.held_since_seconds)
    query = query.join(jobs, jobs.c.job == executions.c.job).where(
        executions.c.state == "QUEUED", or_(jobs.c.placement.is_not(None), jobs.c.standing.is_not(None))
    )
    return {
        row.execution
        for row in connection.execute(query)
        if row.held_since_seconds is not None or row.wave > decode_standing(row.standing).wave
    }


def rests(connection: Connection, job: str) -> bool:
    """Tell whether a continuous job has executions, and all of them ended and were scored."""
    found = read_rolled(connection, job)
    if found is None or not found.goes_on or found.state != "active":
        return False
    query = select(executions.c.state, executions.c.scored).where(executions.c.job == job)
    rows = list(connection.execute(query))
    return bool(rows) and all(row.state in TERMINAL_STATES and row.scored for row in rows)


def set_standing(connection: Connection, job: str, standing: Standing) -> None:
    """Keep how far a rollout has come."""
    connection.execute(update(jobs).where(jobs.c.job == job).values(standing=encode_standing(standing)))


def reopen(connection: Connection, job: str) -> None:
    """Let an aborted rollout go on where it was."""
    found = read_rolled(connection, job)
    if found is not None and found.standing.status == "aborted":
        set_standing(connection, job, Standing(wave=found.standing.wave))


def set_held(connection: Connection, job: str, since_seconds: float | None) -> None:
    """Note since when, on the fleet clock, a job as a whole is held back; None: it is not."""
    connection.execute(update(jobs).where(jobs.c.job == job).values(held_since_seconds=since_seconds))


def wait_later(connection: Connection, job: str, *, waves: Iterable[int], by_seconds: float) -> None:
    """Let time in which the controller held executions back not count as waiting for their boards."""
    connection.execute(
        update(executions)
        .where(
            executions.c.job == job,
            executions.c.state == "QUEUED",
            executions.c.wave.in_(list(waves)),
        )
        .values(queued_at_seconds=executions.c.queued_at_seconds + by_seconds)
    )


def wait_from(connection: Connection, job: str, *, waves: Iterable[int], now_seconds: float) -> None:
    """Begin to count how long executions of these waves wait for their boards."""
    connection.execute(
        update(executions)
        .where(executions.c.job == job, executions.c.state == "QUEUED", executions.c.wave.in_(list(waves)))
        .values(queued_at_seconds=now_seconds)
    )


def set_next(connection: Connection, series: str, next_at_utc: str | None) -> None:
    """Note when a series runs next."""
    connection.execute(update(jobs).where(jobs.c.job == series).values(next_at_utc=next_at_utc))


def runs_of(connection: Connection, series: str, *, states: Iterable[str] = ()) -> list[str]:
    """Return the runs of a series, the newest first, all or those in `states`."""
    query = select(jobs.c.job).where(jobs.c.series == series).order_by(jobs.c.position.desc())
    wanted = list(states)
    return list(connection.execute(query.where(jobs.c.state.in_(wanted)) if wanted else query).scalars())


def _rolled(row: Row[tuple[object, ...]]) -> Rolled:
    return Rolled(
        job=row.job,
        name=row.name,
        state=row.state,
        placement=decode_placement(row.placement),
        standing=decode_standing(row.standing),
        held_since_seconds=row.held_since_seconds,
        series=row.series,
        next_at_utc=row.next_at_utc,
    )
