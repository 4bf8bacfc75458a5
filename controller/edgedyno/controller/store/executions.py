"""Queries over the executions: one job on one board."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update

from edgedyno.controller.store.tables import boards, executions, jobs, results
from edgedyno.core.failures import CLASSES, failure_class, limit_of
from edgedyno.core.history import Attempt, ExecutionView, policy_retries
from edgedyno.core.messages import TERMINAL_STATES, ExecutionRecord, ExecutionState, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgedyno.controller.store.jobs import Job

_progress = msgspec.json.Decoder(Progress)
_earlier = msgspec.json.Decoder(list[Attempt])
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
    not_before_seconds: float | None
    """When the board may begin a queued attempt; None: at once."""
    cancel_at_seconds: float | None
    """When the board was asked to stop."""
    earlier: str
    wave: int
    """Of its job's rollout, from 0."""

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

    def attempts(self) -> list[Attempt]:
        """Return the attempts before this one, oldest first."""
        return _earlier.decode(self.earlier)

    def view(self, about: Job, *, late_results: int, now_seconds: float) -> ExecutionView:
        """Return it with its history, for people."""
        earlier = self.attempts()
        spent = Counter(attempt.failure_class for attempt in policy_retries(earlier))
        waits = self.not_before_seconds if self.state == "QUEUED" else None
        return ExecutionView(
            **msgspec.structs.asdict(self.record()),
            priority=about.priority,
            failure_class=failure_class(self.state, self.reason),
            retry_in_seconds=None if waits is None or waits <= now_seconds else waits - now_seconds,
            retries_left={kind: max(0, limit_of(about.retry, kind) - spent[kind]) for kind in CLASSES},
            earlier=earlier,
            late_results=late_results,
        )


class Waiting(Struct, frozen=True):
    """An execution in a board's queue."""

    execution: Execution
    free: bool
    """Whether nothing can hold it back: it runs, or its job has no rollout, windows or pause."""


_insert = insert(executions)


def insert_execution(
    connection: Connection, *, job: str, board: str, reduce_range: bool, now_seconds: float, wave: int = 0
) -> str:
    """Queue a job on a board and return the execution's id."""
    execution = f"{job}.{board}"
    row = {
        "execution": execution,
        "job": job,
        "board": board,
        "state": "QUEUED",
        "version": 1,
        "attempt": 1,
        "reduce_range": reduce_range,
        "stalled": False,
        "cancel_requested": False,
        "queued_at_seconds": now_seconds,
        "results_count": 0,
        "scored": False,
        "scoring_round": 0,
        "wave": wave,
    }
    connection.execute(_insert, row)
    return execution


_COLUMNS = [executions.c[name] for name in Execution.__struct_fields__]
# Statements that every request of a board takes are made once: making one costs more than running it.
_by_name = select(*_COLUMNS).where(executions.c.execution == bindparam("b_execution"))
_by_name_locked = _by_name.with_for_update()


def read_execution(connection: Connection, execution: str, *, lock: bool = False) -> Execution | None:
    """Return one execution; with `lock`, others wait to change it until this transaction ends."""
    query = _by_name_locked if lock else _by_name
    row = connection.execute(query, {"b_execution": execution}).first()
    return _execution(row) if row else None


def read_executions(
    connection: Connection, names: Iterable[str], *, lock: bool = False
) -> dict[str, Execution]:
    """Return these executions as far as they exist; locked in one order, so that nobody deadlocks."""
    query = select(*_COLUMNS).where(executions.c.execution.in_(sorted(names)))
    query = query.order_by(executions.c.position)
    rows = connection.execute(query.with_for_update() if lock else query)
    return {row.execution: _execution(row) for row in rows}


def of_jobs(connection: Connection, names: Sequence[str], *, lock: bool = False) -> list[Execution]:
    """Return the executions of some jobs in the order they were queued."""
    query = select(*_COLUMNS).where(executions.c.job.in_(names)).order_by(executions.c.position)
    return _all(connection, query.with_for_update() if lock else query)


def live(connection: Connection) -> list[Execution]:
    """Return the executions that are queued or run."""
    query = select(*_COLUMNS).where(executions.c.state.in_(_LIVE)).order_by(executions.c.position)
    return _all(connection, query)


def undone_of_board(connection: Connection, board: str) -> list[Execution]:
    """Return a board's executions that are queued or run."""
    query = select(*_COLUMNS).where(executions.c.board == board, executions.c.state.in_(_LIVE))
    return _all(connection, query.order_by(executions.c.position))


def unscored(connection: Connection, limit: int = 100) -> list[Execution]:
    """Return ended executions whose results have still to be scored."""
    query = select(*_COLUMNS).where(
        executions.c.state.in_(sorted(TERMINAL_STATES)), executions.c.scored.is_(False)
    )
    return _all(connection, query.order_by(executions.c.position).limit(limit))


# IN_PROGRESS sorts before QUEUED.
_order = (executions.c.state, jobs.c.priority.desc(), executions.c.position)
_waits = (
    (executions.c.state == "QUEUED")
    & (jobs.c.state == "active")
    & ~boards.c.drained
    & ~boards.c.removed
    & or_(executions.c.not_before_seconds.is_(None), executions.c.not_before_seconds <= bindparam("b_now"))
)
_free = or_(executions.c.state == "IN_PROGRESS", jobs.c.placement.is_(None) & jobs.c.standing.is_(None))
_queued = (
    select(*_COLUMNS, _free.label("free"))
    .join(jobs, jobs.c.job == executions.c.job)
    .join(boards, boards.c.board == executions.c.board)
    .where(or_(executions.c.state == "IN_PROGRESS", _waits))
)
_queue_of = _queued.where(executions.c.board == bindparam("b_board")).order_by(*_order)
_first_of = _queue_of.limit(1)


def queue_of(
    connection: Connection, board: str, *, now_seconds: float, first_only: bool = False
) -> list[Waiting]:
    """Return what this board runs and what waits for it, in the order in which it should be run.

    What waits are executions of jobs that are built, whose time has come, of the highest priority first and then in
    the order of submission; a drained or removed board has none. What else holds them back is in `rollout.gate`.
    """
    query = _first_of if first_only else _queue_of
    return [_waiting(row) for row in connection.execute(query, {"b_board": board, "b_now": now_seconds})]


def firsts_of(connection: Connection, names: Iterable[str] | None, *, now_seconds: float) -> list[Waiting]:
    """Return the first of the queue of each of these boards that has one; None stands for all boards."""
    query = _queued.add_columns(
        func.row_number().over(partition_by=executions.c.board, order_by=_order).label("place")
    )
    if names is not None:
        query = query.where(executions.c.board.in_(list(names)))
    ranked = query.subquery()
    firsts = select(*(ranked.c[column.name] for column in _COLUMNS), ranked.c.free).where(ranked.c.place == 1)
    return [_waiting(row) for row in connection.execute(firsts, {"b_now": now_seconds})]


def _waiting(row: Iterable[Any]) -> Waiting:
    *values, free = row
    return Waiting(Execution(*values), bool(free))


def busy_among(connection: Connection, names: Sequence[str]) -> set[str]:
    """Return those of these jobs of which something is not ended, or ended with results that are not scored."""
    query = (
        select(executions.c.job)
        .where(
            executions.c.job.in_(names),
            or_(executions.c.state.in_(_LIVE), (executions.c.results_count > 0) & ~executions.c.scored),
        )
        .distinct()
    )
    return set(connection.execute(query).scalars())


def running_on(connection: Connection, board: str) -> Execution | None:
    """Return what a board has a lease on, or had until it stalled."""
    query = select(*_COLUMNS).where(executions.c.board == board, executions.c.state == "IN_PROGRESS")
    return next(iter(_all(connection, query)), None)


def live_of_board(connection: Connection, board: str) -> list[Execution]:
    """Return what is queued or runs on a board, locked."""
    query = select(*_COLUMNS).where(executions.c.board == board, executions.c.state.in_(_LIVE))
    return _all(connection, query.order_by(executions.c.position).with_for_update())


def late_results(connection: Connection, names: Sequence[str]) -> Counter[str]:
    """Return how many results of each execution of these jobs came after their attempt was over."""
    query = (
        select(results.c.execution, func.count().label("late"))
        .where(results.c.job.in_(names), results.c.flag == "late")
        .group_by(results.c.execution)
    )
    return Counter({row.execution: row.late for row in connection.execute(query)})


def newest(connection: Connection, limit: int) -> list[Execution]:
    """Return the newest executions, the oldest of them first."""
    query = select(*_COLUMNS).order_by(executions.c.position.desc()).limit(limit)
    return _all(connection, query)[::-1]


_set = update(executions).where(executions.c.execution == bindparam("b_execution"))


def change(connection: Connection, execution: str, /, **values: Any) -> Execution:
    """Set columns of an execution and return it as it is then."""
    # Values beside the statement, not in it: what was compiled for the same columns serves again.
    connection.execute(_set, {"b_execution": execution, **values})
    found = read_execution(connection, execution)
    if found is None:
        raise LookupError(execution)
    return found


def _all(connection: Connection, query: Select[Any]) -> list[Execution]:
    return [_execution(row) for row in connection.execute(query)]


def _execution(row: Iterable[Any]) -> Execution:
    return Execution(*row)
