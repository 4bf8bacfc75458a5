"""What an agent of a released version left on its disk is taken up by this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.agent.database import Database
from edgedyno.agent.journal import Journal
from edgedyno.agent.outbox import Outbox
from edgedyno.core.result import Result
from tests.controller.migrations.dumps import load_sqlite, read_dump, released

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=released())
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Open the file of each release with this version's agent."""
    load_sqlite(read_dump(request.param, "agent"), tmp_path / "agent.db")
    opened = Database(tmp_path)
    yield opened
    opened.close()


def test_it_is_taken_up_and_not_put_aside(database: Database) -> None:
    assert not list(database.folder.glob("*.broken-*"))


def test_its_execution_and_its_results_are_there(database: Database) -> None:
    entry = Journal(database).current()
    assert entry is not None
    assert entry.manifest.model.name == "fastestdet"
    assert Journal(database).done_trials(entry)
    outbox = Outbox(database, board="bench", limit=1000)
    assert outbox.waiting(entry.execution) >= 2
    assert [one.code for one in outbox.refusals()] == ["execution.unknown"]
    for sha256 in outbox.artifacts():
        outbox.uploaded(sha256)
    sent = outbox.window(100)
    assert len(sent) == outbox.depth
    assert all(one.record.execution == entry.execution for one in sent)
    assert sent[0].seq == sent[0].oldest_seq > 1


def test_its_numbers_go_on(database: Database) -> None:
    outbox = Outbox(database, board="bench", limit=1000)
    newest = database.connection.execute("SELECT max(seq) FROM outbox").fetchone()[0]
    record = database.connection.execute("SELECT record FROM outbox ORDER BY seq DESC").fetchone()[0]
    database.connection.execute("DELETE FROM outbox")
    outbox.put(msgspec.json.decode(record, type=Result), lease_id="lease", artifacts=[])
    assert outbox.window(1)[0].seq == newest + 1
