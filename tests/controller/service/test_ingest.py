"""Results into the store: nothing twice, nothing lost, nothing acknowledged that is not committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import select

from edgedyno.controller.ingest import MAX_AHEAD, Arrival, Outcome, ingest, open_result
from edgedyno.controller.store import executions, jobs
from edgedyno.controller.store.boards import add_board
from edgedyno.controller.store.results import Stream, read_results
from edgedyno.controller.store.tables import results
from edgedyno.core.messages import ResultMessage, encode
from tests.controller.service.samples import message, resolved_job, result

if TYPE_CHECKING:
    from edgedyno.controller.store.database import Database

JOB = "sample-000000"
EXECUTION = f"{JOB}.rpi4"
KEY = ("rpi4", "e1")


@pytest.fixture
def store(database: Database) -> Database:
    """Return a store with one execution that runs on the board rpi4."""

    def fill(connection: Any) -> None:
        jobs.insert_job(connection, JOB, resolved_job(), reduce_ranges={False})
        for board in ("rpi4", "other"):
            add_board(connection, board, 0.0)
            executions.insert_execution(connection, job=JOB, board=board, reduce_range=False, now_seconds=0.0)
        executions.change(connection, EXECUTION, state="IN_PROGRESS")

    database.write_now(fill)
    return database


def arrive(*messages: ResultMessage, board: str = "rpi4") -> list[Arrival]:
    """Return messages as they come from a board's topic."""
    opened = [open_result(board, encode(one)) for one in messages]
    return [one for one in opened if one is not None]


def take(store: Database, *messages: ResultMessage, board: str = "rpi4") -> Outcome:
    """Ingest messages of one board."""
    return ingest(store, arrive(*messages, board=board))


def stored_rows(store: Database) -> list[tuple[int, str, bool, str | None]]:
    """Return seq, trial, counted and flag of what is stored."""
    query = select(results.c.seq, results.c.trial, results.c.counted, results.c.flag).order_by(results.c.id)
    return [tuple(row) for row in store.read_now(lambda connection: connection.execute(query).all())]


def trial(number: int, **changes: Any) -> ResultMessage:
    """Return the message `number` with a result of its own trial."""
    return message(result(EXECUTION, trial=f"t{number}"), number, **changes)


def test_a_doubled_message_is_stored_once_and_acknowledged_again(store: Database) -> None:
    first = take(store, trial(1), trial(1))
    again = take(store, trial(1))
    assert (first.stored, first.duplicates) == (1, 1)
    assert (again.stored, again.duplicates) == (0, 1)
    assert again.acks[KEY].up_to == 1
    assert stored_rows(store) == [(1, "t1", True, None)]


def test_reordered_messages_are_acknowledged_only_up_to_the_gap(store: Database) -> None:
    assert take(store, trial(3), trial(2)).acks[KEY].up_to == 0
    outcome = take(store, trial(1))
    assert outcome.acks[KEY].up_to == 3
    assert len(stored_rows(store)) == 3


def test_an_outbox_that_begins_later_is_acknowledged_past_the_gap(store: Database) -> None:
    assert take(store, trial(51)).acks[KEY].up_to == 0
    assert take(store, trial(52, oldest_seq=51)).acks[KEY].up_to == 52


def test_a_message_far_ahead_is_neither_stored_nor_acknowledged(store: Database) -> None:
    stream = Stream(0, set(range(2, MAX_AHEAD + 2)))
    assert not stream.has(MAX_AHEAD + 3)
    take(store, *(trial(seq) for seq in range(2, MAX_AHEAD + 2)))
    outcome = take(store, trial(MAX_AHEAD + 5))
    assert outcome.stored == 0
    assert outcome.acks[KEY].up_to == 0
    assert take(store, trial(1)).acks[KEY].up_to == MAX_AHEAD + 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"execution": f"{JOB}.nowhere"}, "execution.unknown"),
        ({"execution": f"{JOB}.other"}, "execution.board"),
        ({"attempt": 2}, "execution.attempt"),
        ({"job": "another-000000"}, "result.mismatch"),
        ({"board": "other"}, "result.mismatch"),
    ],
)
def test_a_result_that_cannot_be_is_refused_with_its_reason(
    store: Database, changes: dict[str, Any], code: str
) -> None:
    bad = message(msgspec.structs.replace(result(EXECUTION), **changes), 1)
    outcome = take(store, bad, trial(2))
    assert [refusal.code for refusal in outcome.acks[KEY].refused] == [code]
    assert outcome.acks[KEY].refused[0].text
    assert outcome.acks[KEY].up_to == 2, "a refused seq is settled too"
    assert [row[0] for row in stored_rows(store)] == [2]


def test_the_message_must_agree_with_its_topic_and_its_record(store: Database) -> None:
    foreign = msgspec.structs.replace(trial(1), board="other")
    assert [r.code for r in take(store, foreign).acks[KEY].refused] == ["result.mismatch"]
    other_attempt = msgspec.structs.replace(trial(2), attempt=2)
    assert [r.code for r in take(store, other_attempt).acks[KEY].refused] == ["result.mismatch"]
    newer = msgspec.structs.replace(trial(3), v=2)
    assert [r.code for r in take(store, newer).acks[KEY].refused] == ["message.version"]


def test_an_undecodable_record_is_refused_and_a_broken_message_is_not_a_message(store: Database) -> None:
    good = encode(trial(1))
    broken = good.replace(b'"threads":4', b'"threads":"four"')
    arrival = open_result("rpi4", broken)
    assert arrival is not None
    outcome = ingest(store, [arrival])
    assert [refusal.code for refusal in outcome.acks[KEY].refused] == ["result.invalid"]
    assert "threads" in outcome.acks[KEY].refused[0].text
    for nonsense in (b"", b"{", b"\xff\xfe", b"[" * 100_000, good[:-5], b'{"type":"ack"}', b"null"):
        assert open_result("rpi4", nonsense) is None


def test_what_the_database_cannot_hold_is_refused_alone(store: Database) -> None:
    odd = message(result(EXECUTION, trial="t" * 65), 2)
    outcome = take(store, trial(1), odd, trial(3))
    if store.is_sqlite:
        assert outcome.stored == 3, "SQLite has no limit on texts"
    else:
        assert [refusal.code for refusal in outcome.acks[KEY].refused] == ["result.unstorable"]
        assert [row[0] for row in stored_rows(store)] == [1, 3]
    assert outcome.acks[KEY].up_to == 3


def test_one_result_counts_for_a_trial_and_a_newer_attempt_wins(store: Database) -> None:
    take(store, trial(1), message(result(EXECUTION, trial="t1"), 2))
    assert stored_rows(store) == [(1, "t1", True, None), (2, "t1", False, "repeated")]
    store.write_now(executions.change, EXECUTION, attempt=2)
    take(store, message(result(EXECUTION, trial="t1", attempt=2), 3))
    take(store, message(result(EXECUTION, trial="t1", attempt=1), 4))
    take(store, message(result(EXECUTION, trial="t9", attempt=1), 5))
    assert stored_rows(store) == [
        (1, "t1", False, "superseded"),
        (2, "t1", False, "repeated"),
        (3, "t1", True, None),
        (4, "t1", False, "late"),
        (5, "t9", True, "late"),
    ]
    counted = store.read_now(read_results, execution=EXECUTION)
    assert [(one.record.trial, one.record.attempt) for one in counted] == [("t1", 2), ("t9", 1)]


def test_two_attempts_of_a_trial_in_one_batch(store: Database) -> None:
    store.write_now(executions.change, EXECUTION, attempt=2)
    take(store, trial(1), message(result(EXECUTION, trial="t1", attempt=2), 2))
    assert stored_rows(store) == [(1, "t1", False, "superseded"), (2, "t1", True, None)]


def test_a_result_after_the_end_is_kept_and_flagged_and_has_the_execution_scored_again(
    store: Database,
) -> None:
    store.write_now(executions.change, EXECUTION, state="TIMED_OUT", scored=True)
    take(store, trial(1))
    assert stored_rows(store) == [(1, "t1", True, "late")]
    after = store.read_now(executions.read_execution, EXECUTION)
    assert after is not None
    assert (after.scored, after.results_count) == (False, 1)


def test_the_record_is_stored_byte_for_byte(store: Database) -> None:
    sent = encode(trial(1)).replace(b'"board":"rpi4","model"', b'"board":"rpi4","of_tomorrow":[1],"model"')
    arrival = open_result("rpi4", sent)
    assert arrival is not None
    ingest(store, [arrival])
    text = store.read_now(lambda connection: connection.execute(select(results.c.record)).scalar_one())
    assert '"of_tomorrow":[1]' in text


def test_streams_are_apart(store: Database) -> None:
    outcome = take(store, trial(1), trial(1, epoch="e2", msg_id="another"))
    assert outcome.acks["rpi4", "e1"].up_to == 1
    assert outcome.acks["rpi4", "e2"].up_to == 1
    assert [row[2:] for row in stored_rows(store)] == [(True, None), (False, "repeated")]
