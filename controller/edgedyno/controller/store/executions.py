"""Queries over the executions: one job on one board."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, insert, or_, select, update

from edgedyno.controller.store.tables import executions, jobs
from edgedyno.core.messages import TERMINAL_STATES, ExecutionRecord, ExecutionState, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_progress = msgspec.json.Decoder(Progress)
_LIVE = ("QUEUED", "IN_PROGRESS")


class Execution(Struct, frozen=True):
    """An execution as the store has it; times are on the fleet clock."""

    position: int
    execution: str
    job: str
    board: str
    state: ExecutionState
    version: int
    attempt: int
    reduce_range: bool
    progress: str | None
    reason: str | None
    stalled: bool
    cancel_requested: bool
    lease_id: str | None
    lease_request_id: str | None
    lease_ends_at_seconds: float | None
    queued_at_seconds: float
    started_at_seconds: float | None
    ended_at_seconds: float | None
    results_count: int
    scored: bool
    scoring_round: int
    scoring_failure: str | None

    @property
    def ended(self) -> bool:
        """Tell whether nothing more will be done about it."""
        return self.state in TERMINAL_STATES

    def record(self) -> ExecutionRecord:
        """Return it as boards and API see it."""
        progress = _progress.decode(self.progress) if self.progress else None
        return ExecutionRecord(
            execution=self.execution,
            job=self.job,
            board=self.board,
            state=self.state,
            version=self.version,
            attempt=self.attempt,
            phase=progress.phase if progress else None,
            progress=progress,
            reason=self.reason,
            stalled=self.stalled,
            cancel_requested=self.cancel_requested,
        )


def insert_execution(
    connection: Connection, *, job: str, board: str, reduce_range: bool, now_seconds: float
) -> str:
    """Queue a job on a board and return the execution's id."""
    execution = f"{job}.{board}"
    connection.execute(
        insert(executions).values(
            execution=execution,
            job=job,
            board=board,
            state="QUEUED",
            version=1,
            attempt=1,
            reduce_range=reduce_range,
            stalled=False,
            cancel_requested=False,
            queued_at_seconds=now_seconds,
            results_count=0,
            scored=False,
            scoring_round=0,
        )
    )
    return execution


def read_execution(connection: Connection, execution: str, *, lock: bool = False) -> Execution | None:
    """Return one execution; with `lock`, others wait to change it until this transaction ends."""
    query = select(executions).where(executions.c.execution == execution)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return _execution(row) if row else None


def read_executions(
    connection: Connection, names: Iterable[str], *, lock: bool = False
) -> dict[str, Execution]:
    """Return these executions as far as they exist; locked in one order, so that nobody deadlocks."""
    query = select(executions).where(executions.c.execution.in_(sorted(names)))
    query = query.order_by(executions.c.position)
    rows = connection.execute(query.with_for_update() if lock else query)
    return {row.execution: _execution(row) for row in rows}


def of_jobs(connection: Connection, names: Sequence[str], *, lock: bool = False) -> list[Execution]:
    """Return the executions of some jobs in the order they were queued."""
    query = select(executions).where(executions.c.job.in_(names)).order_by(executions.c.position)
    return _all(connection, query.with_for_update() if lock else query)


def live(connection: Connection) -> list[Execution]:
    """Return the executions that are queued or run."""
    query = select(executions).where(executions.c.state.in_(_LIVE)).order_by(executions.c.position)
    return _all(connection, query)


def unscored(connection: Connection, limit: int = 100) -> list[Execution]:
    """Return ended executions whose results have still to be scored."""
    query = select(executions).where(
        executions.c.state.in_(sorted(TERMINAL_STATES)), executions.c.scored.is_(False)
    )
    return _all(connection, query.order_by(executions.c.position).limit(limit))


def head_of_board(connection: Connection, board: str, *, lock: bool = False) -> Execution | None:
    """Return what this board should do: what it runs, else the first in the queue of jobs that are built."""
    query = (
        select(executions)
        .join(jobs, jobs.c.job == executions.c.job)
        .where(
            executions.c.board == board,
            or_(
                executions.c.state == "IN_PROGRESS",
                (executions.c.state == "QUEUED") & (jobs.c.state == "active"),
            ),
        )
        .order_by(executions.c.state, executions.c.position)  # IN_PROGRESS sorts before QUEUED
        .limit(1)
    )
    row = connection.execute(query.with_for_update(of=executions) if lock else query).first()
    return _execution(row) if row else None


def newest(connection: Connection, limit: int) -> list[Execution]:
    """Return the newest executions, the oldest of them first."""
    query = select(executions).order_by(executions.c.position.desc()).limit(limit)
    return _all(connection, query)[::-1]


def change(connection: Connection, execution: str, /, **values: Any) -> Execution:
    """Set columns of an execution and return it as it is then."""
    connection.execute(update(executions).where(executions.c.execution == execution).values(**values))
    found = read_execution(connection, execution)
    if found is None:
        raise LookupError(execution)
    return found


def _all(connection: Connection, query: Select[Any]) -> list[Execution]:
    return [_execution(row) for row in connection.execute(query)]


def _execution(row: Row[Any]) -> Execution:
    return Execution(**row._asdict())  # SQLAlchemy's documented name
