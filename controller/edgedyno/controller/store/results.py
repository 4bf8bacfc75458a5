"""Queries over the results: one message of a board's stream each, one counted for each trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, bindparam, func, select, tuple_, update

from edgedyno.controller.store.dialect import insert_new
from edgedyno.controller.store.tables import executions, results, streams
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_seqs = msgspec.json.Decoder(list[int])
_result = msgspec.json.Decoder(Result)
_best = func.coalesce(results.c.scored, results.c.record)


class Stream(Struct):
    """What has come of one outbox: everything up to `up_to`, and some seqs ahead of a gap."""

    up_to: int
    ahead: set[int]

    def has(self, seq: int) -> bool:
        """Tell whether this seq came before."""
        return seq <= self.up_to or seq in self.ahead

    def take(self, seq: int) -> None:
        """Note a seq, and close the gap if it was the missing one."""
        self.ahead.add(seq)
        self._close()

    def forget_before(self, oldest: int) -> int:
        """Take it that nothing before `oldest` will ever come: the outbox no longer holds it.

        Returns how many seqs of a known stream were acknowledged and are not here: the database is an older copy.
        """
        if oldest - 1 <= self.up_to:
            return 0
        known = self.up_to > 0 or bool(self.ahead)
        forgotten = oldest - 1 - self.up_to - sum(seq < oldest for seq in self.ahead)
        self.up_to = oldest - 1
        self.ahead = {seq for seq in self.ahead if seq > self.up_to}
        self._close()
        return forgotten if known else 0

    def _close(self) -> None:
        while self.up_to + 1 in self.ahead:
            self.up_to += 1
            self.ahead.discard(self.up_to)


StreamKey = tuple[str, str]


def lock_streams(connection: Connection, keys: Iterable[StreamKey]) -> dict[StreamKey, Stream]:
    """Return these streams, new ones included, locked in one order."""
    wanted = sorted(keys)
    found = _read_streams(connection, wanted)
    missing = [key for key in wanted if key not in found]
    if missing:
        connection.execute(
            insert_new(connection, streams),
            [{"board": board, "stream_epoch": epoch, "up_to": 0, "ahead": "[]"} for board, epoch in missing],
        )
        found = _read_streams(connection, wanted)
    return found


def _read_streams(connection: Connection, keys: Sequence[StreamKey]) -> dict[StreamKey, Stream]:
    query = (
        select(streams)
        .where(tuple_(streams.c.board, streams.c.stream_epoch).in_(keys))
        .order_by(streams.c.board, streams.c.stream_epoch)
        .with_for_update()
    )
    return {
        (row.board, row.stream_epoch): Stream(row.up_to, set(_seqs.decode(row.ahead)))
        for row in connection.execute(query)
    }


_set_stream = (
    update(streams)
    .where(streams.c.board == bindparam("b_board"), streams.c.stream_epoch == bindparam("b_epoch"))
    .values(up_to=bindparam("b_up_to"), ahead=bindparam("b_ahead"))
)


def store_streams(connection: Connection, found: dict[StreamKey, Stream]) -> None:
    """Write the streams back."""
    connection.execute(
        _set_stream,
        [
            {
                "b_board": board,
                "b_epoch": epoch,
                "b_up_to": stream.up_to,
                "b_ahead": msgspec.json.encode(sorted(stream.ahead)).decode(),
            }
            for (board, epoch), stream in found.items()
        ],
    )


class Counted(Struct, frozen=True):
    """Which result counts for a trial, and of which attempt it is."""

    id: int
    attempt: int


def counted_of(
    connection: Connection, names: Iterable[str], trials: Iterable[str]
) -> dict[tuple[str, str], Counted]:
    """Return what counts now for these trials of these executions."""
    query = select(results.c.id, results.c.execution, results.c.trial, results.c.attempt).where(
        results.c.execution.in_(sorted(names)), results.c.trial.in_(sorted(trials)), results.c.counted
    )
    return {(row.execution, row.trial): Counted(row.id, row.attempt) for row in connection.execute(query)}


def supersede(connection: Connection, ids: Sequence[int]) -> None:
    """Take older attempts' results out of the count."""
    if ids:
        connection.execute(
            update(results).where(results.c.id.in_(ids)).values(counted=False, flag="superseded")
        )


def insert_results(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Add results and return how many were new; one whose key, id or counted trial is there changes nothing."""
    return connection.execute(insert_new(connection, results), list(rows)).rowcount


_add_results = (
    update(executions)
    .where(executions.c.execution == bindparam("b_execution"))
    .values(results_count=executions.c.results_count + bindparam("b_new"), scored=False)
)


def count_results(connection: Connection, new: dict[str, int]) -> None:
    """Note on executions that results came, which are not scored yet."""
    if new:
        connection.execute(
            _add_results, [{"b_execution": execution, "b_new": n} for execution, n in sorted(new.items())]
        )


class StoredResult(Struct, frozen=True):
    """A result in its best form: scored where it has been."""

    id: int
    counted: bool
    flag: str | None
    record: Result


def read_results(
    connection: Connection,
    *,
    job: str | None = None,
    board: str | None = None,
    execution: str | None = None,
    counted_only: bool = True,
    after: int = 0,
) -> list[StoredResult]:
    """Return results in the order they came, those with an id above `after`."""
    rows = connection.execute(
        _query(job, board, execution, counted_only=counted_only).where(results.c.id > after)
    )
    return [StoredResult(row.id, row.counted, row.flag, _result.decode(row.best)) for row in rows]


def read_raw_results(
    connection: Connection,
    *,
    job: str | None = None,
    board: str | None = None,
    execution: str | None = None,
) -> list[str]:
    """Return counted results as JSON texts in the order they came."""
    return [row.best for row in connection.execute(_query(job, board, execution, counted_only=True))]


def read_flagged(connection: Connection, job: str) -> list[tuple[str, bool, str]]:
    """Return a job's late, repeated and superseded results in the order they came: flag, whether it counts, JSON."""
    query = _query(job, None, None, counted_only=False).where(results.c.flag.is_not(None))
    return [(row.flag, row.counted, row.best) for row in connection.execute(query)]


def _query(job: str | None, board: str | None, execution: str | None, *, counted_only: bool) -> Select[Any]:
    query = select(results.c.id, results.c.counted, results.c.flag, _best.label("best")).order_by(
        results.c.id
    )
    for column, wanted in (
        (results.c.job, job),
        (results.c.board, board),
        (results.c.execution, execution),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return query.where(results.c.counted) if counted_only else query


def store_scores(connection: Connection, scored: Iterable[tuple[int, Result]]) -> None:
    """Store results with accuracy filled in."""
    for result_id, record in scored:
        text = msgspec.json.encode(record).decode()
        connection.execute(update(results).where(results.c.id == result_id).values(scored=text))


def mark_unscored(connection: Connection, predictions_sha256: str) -> int:
    """Have executions scored again whose predictions came late; return how many."""
    names = select(results.c.execution).where(results.c.predictions_sha256 == predictions_sha256)
    changed = connection.execute(
        update(executions).where(executions.c.execution.in_(names), executions.c.scored).values(scored=False)
    )
    return changed.rowcount


def results_key(connection: Connection, job: str) -> str:
    """Return a text that changes whenever the job's results do."""
    row: Row[Any] = connection.execute(
        select(
            func.count(), func.sum(executions.c.results_count), func.sum(executions.c.scoring_round)
        ).where(executions.c.job == job)
    ).one()
    return ".".join(str(part or 0) for part in row)
