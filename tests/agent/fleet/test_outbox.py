"""Outbox and journal on a real SQLite file: order, bounds, acks, transactions, full disks, damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgedyno.agent.database import RESERVE_BYTES, Database, StorageError, next_session_epoch
from edgedyno.agent.journal import Entry, Journal, read_boot_id
from edgedyno.agent.outbox import REFUSED_KEPT, Outbox
from edgedyno.core.errors import ConfigError
from edgedyno.core.messages import Ack, Refusal
from tests.agent.fleet.samples import manifest, result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.close()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database, board="board", limit=100)


def entry(**fields: object) -> Entry:
    values = {
        "execution": "job-1.board",
        "attempt": 1,
        "lease_id": "lease",
        "lease_seconds": 30.0,
        "version": 2,
        "manifest": manifest(),
        "boot_id": read_boot_id(),
        "started_monotonic": 1.0,
        **fields,
    }
    return Entry(**values)  # type: ignore[arg-type]


def fill(outbox: Outbox, count: int, **options: list[str]) -> None:
    for number in range(count):
        outbox.put(result(f"{number:016x}"), lease_id="lease", artifacts=options.get("artifacts", []))


def test_results_come_out_in_order_and_as_they_went_in(outbox: Outbox) -> None:
    fill(outbox, 5)
    window = outbox.window(3)
    assert [message.seq for message in window] == [1, 2, 3]
    assert window[0].record == result("0" * 16)
    assert len({message.msg_id for message in outbox.window(9)}) == 5
    assert [message.seq for message in outbox.window(9, after=3)] == [4, 5]
    assert {message.oldest_seq for message in outbox.window(9)} == {1}


def test_numbers_are_never_used_again(outbox: Outbox, database: Database) -> None:
    fill(outbox, 3)
    outbox.acknowledge(Ack(stream_epoch=outbox.stream_epoch, up_to=3))
    fill(outbox, 1)
    assert outbox.window(1)[0].seq == 4
    again = Outbox(database, board="board", limit=100)
    assert again.stream_epoch == outbox.stream_epoch


def test_a_result_behind_a_missing_upload_waits(outbox: Outbox) -> None:
    outbox.put(result("a" * 16), lease_id="lease", artifacts=[])
    outbox.put(result("b" * 16), lease_id="lease", artifacts=["1" * 64, "2" * 64])
    outbox.put(result("c" * 16), lease_id="lease", artifacts=["1" * 64])
    assert [message.seq for message in outbox.window(9)] == [1]
    wanted = outbox.next_upload()
    assert wanted is not None
    assert (wanted.seq, wanted.sha256) == (2, "1" * 64)
    outbox.uploaded("1" * 64)
    assert [message.seq for message in outbox.window(9)] == [1]
    outbox.uploaded("2" * 64)
    assert [message.seq for message in outbox.window(9)] == [1, 2, 3]
    assert outbox.artifacts() == {"1" * 64, "2" * 64}
    outbox.acknowledge(Ack(stream_epoch=outbox.stream_epoch, up_to=2))
    assert outbox.artifacts() == {"1" * 64}


def test_refusals_leave_and_are_remembered(outbox: Outbox) -> None:
    fill(outbox, 3)
    refusal = Refusal(3, "result.invalid", "no")
    ack = Ack(stream_epoch=outbox.stream_epoch, up_to=1, refused=[refusal])
    assert outbox.acknowledge(ack) == 2
    assert outbox.refusals() == [refusal]
    assert [message.seq for message in outbox.window(9)] == [2]
    assert outbox.acknowledge(ack) == 0


def test_the_log_of_refusals_is_bounded(outbox: Outbox) -> None:
    fill(outbox, REFUSED_KEPT + 5)
    refused = [Refusal(seq, "no", "no") for seq in range(1, REFUSED_KEPT + 6)]
    outbox.acknowledge(Ack(stream_epoch=outbox.stream_epoch, up_to=0, refused=refused))
    assert [refusal.seq for refusal in outbox.refusals()] == list(range(6, REFUSED_KEPT + 6))


def test_the_last_tenth_is_for_what_runs_already(outbox: Outbox) -> None:
    fill(outbox, 89)
    states = [(outbox.accepts_runs, outbox.full)]
    for more in (1, 10):
        fill(outbox, more)
        states.append((outbox.accepts_runs, outbox.full))
    assert states == [(True, False), (False, False), (False, True)]


def test_a_trial_is_finished_once(database: Database, outbox: Outbox) -> None:
    journal, current = Journal(database), entry()
    journal.begin(current)
    assert journal.finish_trial(current, result("a" * 16), outbox, ["1" * 64])
    assert not journal.finish_trial(current, result("a" * 16), outbox, [])
    assert outbox.depth == 1
    assert journal.done_trials(current) == ["a" * 16]
    journal.begin(entry(attempt=2))
    assert journal.done_trials(entry(attempt=2)) == []
    assert outbox.depth == 1


def test_the_journal_keeps_everything(database: Database) -> None:
    journal, current = Journal(database), entry()
    assert journal.current() is None
    journal.begin(current)
    assert journal.current() == current
    changed = journal.change(current, phase="measure", outcome="FAILED", reason="why", deaths=2)
    assert Journal(database).current() == changed
    journal.end()
    assert journal.current() is None


def test_a_failed_transaction_leaves_nothing(database: Database, outbox: Outbox) -> None:
    journal, current = Journal(database), entry()
    journal.begin(current)

    def fails() -> None:
        with database.transaction():
            outbox.put(result(), lease_id="lease", artifacts=[])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fails()
    assert outbox.depth == 0


def test_a_full_disk_gives_up_the_reserve_then_says_so(
    database: Database, outbox: Outbox, tmp_path: Path
) -> None:
    journal, current = Journal(database), entry()
    journal.begin(current)
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES
    assert (tmp_path / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    # SQLite itself answers SQLITE_FULL when a file may not grow.
    pages = database.connection.execute("PRAGMA page_count").fetchone()[0]
    database.connection.execute(f"PRAGMA max_page_count = {pages}")
    big = result("a" * 16, latency_seconds_reason="x" * 100_000)
    with pytest.raises(StorageError, match="full"):
        journal.finish_trial(current, big, outbox, [])
    assert not (tmp_path / "reserve").exists()
    assert (outbox.depth, journal.done_trials(current)) == (0, [])
    database.connection.execute(f"PRAGMA max_page_count = {pages + 1000}")
    assert journal.finish_trial(current, big, outbox, [])
    database.restore_reserve()
    assert (tmp_path / "reserve").stat().st_size == RESERVE_BYTES


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    first = Database(tmp_path)
    epoch = Outbox(first, board="board", limit=100).stream_epoch
    first.close()
    (tmp_path / "agent.db").write_bytes(b"not a database at all" * 500)
    second = Database(tmp_path)
    assert Outbox(second, board="board", limit=100).stream_epoch != epoch
    assert len(list(tmp_path.glob("agent.db.broken-*"))) == 1
    second.close()


def test_a_file_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    first = Database(tmp_path)
    first.connection.execute("PRAGMA user_version = 99")
    first.close()
    with pytest.raises(ConfigError, match="newer agent"):
        Database(tmp_path)


def test_sessions_only_rise(database: Database) -> None:
    assert [next_session_epoch(database), next_session_epoch(database)] == [1, 2]
    assert next_session_epoch(database, above=10) == 11
    assert next_session_epoch(database) == 12


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(st.just("put"), st.integers(0, 12), st.just("reopen")), max_size=25))
def test_the_outbox_holds_exactly_what_was_put_and_not_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str | int]
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    database = Database(folder)
    outbox = Outbox(database, board="board", limit=100)
    issued, expected = 0, []
    for step in steps:
        if step == "put":
            issued += 1
            expected.append(issued)
            outbox.put(result(f"{issued:016x}"), lease_id="lease", artifacts=[])
        elif step == "reopen":
            database.close()
            database = Database(folder)
            outbox = Outbox(database, board="board", limit=100)
        else:
            up_to = min(int(step), issued)
            outbox.acknowledge(Ack(stream_epoch=outbox.stream_epoch, up_to=up_to))
            expected = [seq for seq in expected if seq > up_to]
        found = outbox.window(100)
        assert [message.seq for message in found] == expected
        assert [int(message.record.trial, 16) for message in found] == expected
    database.close()
