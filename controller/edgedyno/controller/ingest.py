"""Take result messages into the store: decode, check, one transaction for a batch, and what to acknowledge.

Sends nothing itself: the caller publishes the acks after the commit.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct, field
from sqlalchemy.exc import DataError, IntegrityError

from edgedyno.controller.store.executions import Execution, read_executions
from edgedyno.controller.store.results import (
    Stream,
    StreamKey,
    count_results,
    counted_of,
    insert_results,
    lock_streams,
    store_streams,
    supersede,
)
from edgedyno.core.messages import VERSION, Ack, Refusal
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from edgedyno.controller.store.database import Database

log = logging.getLogger(__name__)
MAX_AHEAD = 4096  # seqs that may wait behind a gap in one stream; beyond, the board sends again later
_Count = Annotated[int, Meta(ge=1, le=2**53)]
_Id = Annotated[str, Meta(min_length=1, max_length=128)]


class Envelope(Struct, frozen=True, tag_field="type", tag="result"):
    """A ResultMessage whose record is still the bytes that the board wrote."""

    msg_id: _Id
    board: str
    stream_epoch: _Id
    seq: _Count
    execution: str
    attempt: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    lease_id: str
    record: Raw
    v: int = VERSION
    oldest_seq: _Count = 1


_envelope = msgspec.json.Decoder(Envelope)
_record = msgspec.json.Decoder(Result)


class Arrival(Struct, frozen=True):
    """A result message of a board; `problem` says why it can never be taken."""

    board: str
    envelope: Envelope
    result: Result | None
    record: str
    problem: Refusal | None


class Outcome(Struct):
    """What a batch did: acks for each stream, what was new, and what to count."""

    acks: dict[StreamKey, Ack] = field(default_factory=dict)
    stored: int = 0
    duplicates: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    """Stored results that came late, repeat a trial or are superseded, by that word."""
    forgotten: int = 0
    """Results that were acknowledged once and are in this database no more: it was restored from an older copy."""
    executions: set[str] = field(default_factory=set)


def open_result(board: str, payload: bytes) -> Arrival | None:
    """Decode a message that came on a board's result topic; None when it is no result message at all."""
    try:
        envelope = _envelope.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.warning("undecodable result message", extra={"board": board, "cause": str(error)})
        return None
    try:
        result = _record.decode(envelope.record)
        text = bytes(envelope.record).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Arrival(board, envelope, None, "", _refusal(envelope, "result.invalid", str(error)))
    return Arrival(board, envelope, result, text, _mismatch(board, envelope, result))


def _refusal(envelope: Envelope, code: str, text: str) -> Refusal:
    return Refusal(seq=envelope.seq, code=code, text=text[:500])


def _mismatch(board: str, envelope: Envelope, result: Result) -> Refusal | None:
    if envelope.v != VERSION:
        return _refusal(envelope, "message.version", f"found protocol v{envelope.v}, expected v{VERSION}")
    pairs = (
        ("board", envelope.board, board, "its topic"),
        ("record.board", result.board, board, "its topic"),
        ("record.execution", result.execution, envelope.execution, "its message"),
        ("record.attempt", result.attempt, envelope.attempt, "its message"),
    )
    for name, found, expected, place in pairs:
        if found != expected:
            text = f"{name}: found {found!r}, expected {expected!r} as in {place}"
            return _refusal(envelope, "result.mismatch", text)
    return None


def ingest(database: Database, arrivals: Sequence[Arrival]) -> Outcome:
    """Store a batch in one transaction; committed when this returns.

    When the database will not have a value in it, the batch is taken one by one, and what cannot be stored is
    refused. Raises what the database raises when it is out of reach: then nothing was stored.
    """
    try:
        return database.write_now(take_results, arrivals)
    except (DataError, IntegrityError, OverflowError):
        log.exception("a batch of %d results was refused by the database; taken one by one", len(arrivals))
    total = Outcome()
    for arrival in arrivals:
        _add(total, _ingest_one(database, arrival))
    return total


def _ingest_one(database: Database, arrival: Arrival) -> Outcome:
    try:
        return database.write_now(take_results, [arrival])
    except (DataError, IntegrityError, OverflowError) as error:
        problem = _refusal(arrival.envelope, "result.unstorable", str(getattr(error, "orig", error)))
        return database.write_now(take_results, [msgspec.structs.replace(arrival, problem=problem)])


def _add(total: Outcome, one: Outcome) -> None:
    for key, ack in one.acks.items():
        earlier = total.acks[key].refused if key in total.acks else []
        total.acks[key] = msgspec.structs.replace(ack, refused=[*earlier, *ack.refused])
    total.stored += one.stored
    total.duplicates += one.duplicates
    total.refusals += one.refusals
    total.flags += one.flags
    total.forgotten += one.forgotten
    total.executions |= one.executions


def take_results(connection: Connection, arrivals: Sequence[Arrival]) -> Outcome:
    """Store what is new among the arrivals, inside the caller's transaction."""
    streams = lock_streams(connection, {(a.board, a.envelope.stream_epoch) for a in arrivals})
    outcome = Outcome()
    fresh = _new_ones(arrivals, streams, outcome)
    names = {arrival.envelope.execution for arrival in fresh if arrival.problem is None}
    known = read_executions(connection, names, lock=True) if names else {}
    refused: defaultdict[StreamKey, list[Refusal]] = defaultdict(list)
    accepted: list[tuple[Arrival, Execution]] = []
    for arrival in fresh:
        execution = known.get(arrival.envelope.execution)
        problem = arrival.problem or _check(arrival, execution)
        if problem is None and execution is not None:
            accepted.append((arrival, execution))
        elif problem is not None:
            refused[arrival.board, arrival.envelope.stream_epoch].append(problem)
            outcome.refusals[problem.code] += 1
    outcome.flags = _store(connection, accepted)
    store_streams(connection, streams)
    outcome.stored = len(accepted)
    outcome.executions = {execution.execution for _, execution in accepted}
    for key, stream in streams.items():
        outcome.acks[key] = Ack(stream_epoch=key[1], up_to=stream.up_to, refused=refused[key])
    return outcome


def _new_ones(
    arrivals: Sequence[Arrival], streams: dict[StreamKey, Stream], outcome: Outcome
) -> list[Arrival]:
    fresh = []
    for arrival in arrivals:
        envelope = arrival.envelope
        stream = streams[arrival.board, envelope.stream_epoch]
        forgotten = stream.forget_before(min(envelope.oldest_seq, envelope.seq))
        if forgotten:
            outcome.forgotten += forgotten
            log.error(
                "%d results of board %s were acknowledged and are not in this database: it is an older copy",
                forgotten,
                arrival.board,
            )
        if stream.has(envelope.seq):
            outcome.duplicates += 1
        elif len(stream.ahead) < MAX_AHEAD or envelope.seq == stream.up_to + 1:
            stream.take(envelope.seq)
            fresh.append(arrival)
    return fresh


def _check(arrival: Arrival, execution: Execution | None) -> Refusal | None:
    envelope = arrival.envelope
    if execution is None:
        text = f"found no execution {envelope.execution!r} at this controller"
        return _refusal(envelope, "execution.unknown", text)
    if execution.board != arrival.board:
        text = f"the execution {execution.execution!r} belongs to another board"
        return _refusal(envelope, "execution.board", text)
    if arrival.result is not None and arrival.result.job != execution.job:
        text = f"record.job: found {arrival.result.job!r}, expected {execution.job!r}"
        return _refusal(envelope, "result.mismatch", text)
    if envelope.attempt > execution.attempt:
        text = f"found attempt {envelope.attempt}, expected at most {execution.attempt}"
        return _refusal(envelope, "execution.attempt", text)
    return None


def _store(connection: Connection, accepted: list[tuple[Arrival, Execution]]) -> Counter[str]:
    """Store results and return how many of them, or of older ones, are flagged."""
    if not accepted:
        return Counter()
    new = Counter(execution.execution for _, execution in accepted)
    # Nearly every result is the first of its trial: only when one is not, the older ones are looked up.
    attempt = connection.begin_nested()
    rows = [_row(arrival, execution) for arrival, execution in accepted]
    if insert_results(connection, rows) == len(rows):
        attempt.commit()
        superseded = 0
    else:
        attempt.rollback()
        rows, superseded = _store_among_older(connection, accepted)
    count_results(connection, new)
    flags = Counter(str(row["flag"]) for row in rows if row["flag"])
    return flags + Counter({"superseded": superseded})


def _store_among_older(
    connection: Connection, accepted: list[tuple[Arrival, Execution]]
) -> tuple[list[dict[str, Any]], int]:
    """Store results of which some are of trials that have one: a newer attempt counts, an older never.

    Returns the rows, and how many older ones no longer count.
    """
    trials = {arrival.result.trial for arrival, _ in accepted if arrival.result is not None}
    counted = {
        key: (found.attempt, found.id)
        for key, found in counted_of(connection, {e.execution for _, e in accepted}, trials).items()
    }
    superseded: list[int] = []
    rows: dict[int, dict[str, Any]] = {}
    for number, (arrival, execution) in enumerate(accepted):
        row = _row(arrival, execution)
        key = (row["execution"], row["trial"])
        before = counted.get(key)
        if before is None or before[0] < row["attempt"]:
            # A row of this very batch is known by its number, below zero.
            counted[key] = (row["attempt"], -1 - number)
            if before is not None and before[1] >= 0:
                superseded.append(before[1])
            elif before is not None:
                rows[-1 - before[1]].update(counted=False, flag="superseded")
        else:
            row.update(counted=False, flag="repeated" if before[0] == row["attempt"] else "late")
        rows[number] = row
    supersede(connection, superseded)
    stored = list(rows.values())
    insert_results(connection, stored)
    return stored, len(superseded)


def _row(arrival: Arrival, execution: Execution) -> dict[str, Any]:
    envelope, result = arrival.envelope, arrival.result
    if result is None:
        raise ValueError(envelope.msg_id)
    late = execution.ended or envelope.attempt < execution.attempt
    return {
        "board": arrival.board,
        "stream_epoch": envelope.stream_epoch,
        "seq": envelope.seq,
        "msg_id": envelope.msg_id,
        "job": execution.job,
        "execution": execution.execution,
        "attempt": envelope.attempt,
        "trial": result.trial,
        "counted": True,
        "flag": "late" if late else None,
        "predictions_sha256": result.predictions_sha256,
        "record": arrival.record,
    }
