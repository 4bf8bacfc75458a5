"""Every released version's database is brought to this version's, and everything in it is still read."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, get_args

import httpx
import msgspec
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.store import boards, executions, jobs, results, tables
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate
from edgedyno.core.errors import UnsupportedError
from edgedyno.core.messages import ExecutionState
from tests.controller.migrations.dumps import load_postgresql, load_sqlite, read_dump, released
from tests.controller.service.conftest import make_board, make_service, postgresql
from tests.controller.service.samples import message
from tests.controller.service.standins import Board, ScriptedLaboratory
from tests.controller.service.test_job_way import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from edgedyno.core.result import Result
    from tests.conftest import Mosquitto

__all__ = ["make_board", "postgresql"]  # fixtures of the service's tests


@pytest.fixture(params=released())
def version(request: pytest.FixtureRequest) -> str:
    """Return each released version."""
    return str(request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, version: str, tmp_path: Path) -> str:
    """Return the URL of a database as that version left it."""
    sql = read_dump(version, request.param)
    if request.param == "postgresql":
        return load_postgresql(sql, request.getfixturevalue("postgresql"))
    path = tmp_path / "controller.sqlite3"
    load_sqlite(sql, path)
    return f"sqlite:///{path}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Return the released database, not yet migrated."""
    opened = Database(url)
    yield opened
    opened.close()


def counts(connection: Connection) -> dict[str, int]:
    """Return the rows of each table that the database has."""
    names = [name for name in sqlalchemy.inspect(connection).get_table_names() if name != "alembic_version"]
    count = sqlalchemy.text
    return {name: connection.execute(count(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in names}


def test_no_row_is_lost_and_the_tables_are_this_versions(database: Database) -> None:
    before = database.read_now(counts)
    assert {"boards", "jobs", "builds", "executions", "streams", "results", "settings"} <= before.keys()
    assert all(before.values()), "an empty table proves nothing"
    migrate(database.engine)
    after = database.read_now(counts)
    assert {name: after[name] for name in before if name in after} == before

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))

    assert database.read_now(differences) == []


def test_a_second_migration_changes_nothing(database: Database) -> None:
    assert migrate(database.engine) == migrate(database.engine)


def test_the_store_still_reads_everything(database: Database) -> None:
    migrate(database.engine)
    database.read_now(read_all)


def read_all(connection: Connection) -> None:
    """Read what the dumps hold by the store's own functions."""
    known = {board.board: board for board in boards.read_boards(connection)}
    assert known["rpi4"].own_labels == {"site": "lab", "fan": "no"}
    assert known["zero"].drained
    assert all(board.capabilities for board in known.values())
    found = executions.newest(connection, 1000)
    assert {one.state for one in found} == set(get_args(ExecutionState))
    assert all(one.record() for one in found)
    names = {job.name: job for job in jobs.read_jobs(connection)}
    assert names["quick"].state == "succeeded"
    assert names["canceled"].state == "canceled"
    for job in names.values():
        assert jobs.read_resolved(connection, job.job).spec.name == job.name
        assert all(build.variants is not None for build in jobs.read_builds(connection, job.job)) or (
            job.state != "succeeded"
        )
    verdicts, key = jobs.read_verdicts(connection, names["quick"].job)
    assert verdicts
    assert key
    stored = results.read_results(connection, counted_only=False)
    flags = Counter(one.flag for one in stored if not one.counted)
    assert flags == {"superseded": 1, "late": 1}
    real = [one.record for one in stored if one.record.board == "bench" and one.record.status == "ok"]
    assert real
    assert all(one.latency_seconds and one.accuracy for one in real)
    (stream,) = [
        stream
        for (board, _), stream in results.lock_streams(connection, {("rpi4", "e1")}).items()
        if board == "rpi4"
    ]
    assert (stream.up_to, stream.ahead) == (2, {4})


async def test_a_service_goes_on_with_it(
    database: Database,
    url: str,
    tmp_path: Path,
    mosquitto: Mosquitto,
    make_board: Callable[..., Board],
) -> None:
    """The API shows it, the gap in a stream closes, and what ran goes on."""
    config = ControllerConfig(
        data_dir=str(tmp_path / "data"), database_url=url, broker_port=mosquitto.port, listen_port=0
    )
    async with (
        make_service(config, ScriptedLaboratory()).running() as service,
        httpx.AsyncClient(base_url=f"{service.url}/api/v1", trust_env=False) as http,
    ):
        listed = (await http.get("/jobs")).raise_for_status().json()["jobs"]
        for job in listed:
            (await http.get(f"/jobs/{job['job']}")).raise_for_status()
        quick = next(job["job"] for job in listed if job["name"] == "quick")
        found = (await http.get("/results", params={"job": quick})).raise_for_status().json()["results"]
        assert len(found) == 4
        assert len((await http.get("/boards")).raise_for_status().json()["boards"]) == 6
        metrics = (await http.get("/metrics")).raise_for_status().text
        assert 'edgedyno_executions{board="rpi4",state="IN_PROGRESS"} 1.0' in metrics
        record = database.read_now(_third_of_rpi4)
        board = await asyncio.to_thread(make_board, "rpi4", session_epoch=4)
        board.be_born()

        async def born() -> bool:
            known = database.read_now(boards.read_boards)
            return any((one.board, one.session_epoch) == ("rpi4", 4) for one in known)

        # A birth is retained, a result is not: one that comes before the controller's subscription is lost.
        await eventually(born, "birth")
        ack = await asyncio.to_thread(board.deliver, message(record, 3))
        assert (ack.up_to, ack.refused) == (4, [])


def _third_of_rpi4(connection: Connection) -> Result:
    stored = results.read_results(connection, board="rpi4")
    spare = stored[-1].record
    return msgspec.structs.replace(spare, trial="f" * 16)


def test_a_newer_database_is_refused_and_left_alone(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnsupportedError, match=r"revision 9999.*newer edgedyno"):
        migrate(database.engine)
    left = database.read_now(lambda c: c.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())
    assert left == "9999"


def test_there_is_a_dump_of_the_first_release() -> None:
    assert released()[0] == "0.1.0"
