"""Backup under load, restore, and what boards and an older database make of each other."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.security.signing import open_signer, public_keys
from edgedyno.controller.store.backup import ARTIFACT_LIST, DATABASE_COPY, backup
from edgedyno.controller.store.restore import restore
from edgedyno.core.errors import ConfigError, EdgedynoError, UnsupportedError
from tests.controller.migrations.dumps import load_sqlite, read_dump
from tests.controller.service.conftest import make_service
from tests.controller.service.samples import IMAGE_BYTES, MODEL_BYTES, message, result, sha256
from tests.controller.service.standins import Board, ScriptedLaboratory
from tests.controller.service.test_job_way import born, eventually, job_state, submit
from tests.simulated.fleet import SimulatedFleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedyno.core.messages import Response
    from tests.conftest import Mosquitto


@pytest.fixture
def local(tmp_path: Path, mosquitto: Mosquitto) -> ControllerConfig:
    """Return the configuration of a service on SQLite."""
    return ControllerConfig(data_dir=str(tmp_path / "data"), broker_port=mosquitto.port, listen_port=0)


def client(url: str) -> httpx.AsyncClient:
    """Return a client of a service's API."""
    return httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False)


async def work(http: httpx.AsyncClient, board: Board, job: str) -> Response:
    """Have a board take its execution of a job."""

    async def active() -> bool:
        return await job_state(http, job) == "active"

    await eventually(active, "an active job")
    return await asyncio.to_thread(board.next)


async def serves(http: httpx.AsyncClient) -> bool:
    """Tell whether a service has its boards' requests."""
    return (await http.get("/healthz")).status_code == 200


async def state_of(http: httpx.AsyncClient, job: str) -> dict[str, Any]:
    """Return a job's only execution."""
    found: dict[str, Any] = (await http.get(f"/jobs/{job}")).json()["executions"][0]
    return found


async def test_an_older_backup_and_its_boards_come_to_agree(
    local: ControllerConfig, tmp_path: Path, make_board: Callable[..., Board]
) -> None:
    """What was acknowledged after the backup is measured as lost, run again, and nothing counts twice."""
    async with make_service(local, ScriptedLaboratory()).running() as service, client(service.url) as http:
        board = await asyncio.to_thread(make_board)
        await born(http, board)
        job = await submit(http)
        answer = await work(http, board, job)
        execution = f"{job}.rpi4"
        told = [message(result(execution, trial=f"t{n}"), n, oldest_seq=n) for n in range(1, 6)]
        await asyncio.to_thread(board.deliver, *told[:2])
        backup(local, tmp_path / "backup", with_artifacts=True)
        await asyncio.to_thread(board.deliver, *told[2:4])
    shutil.rmtree(local.data_dir)
    made = restore(tmp_path / "backup", tmp_path / "data")
    assert (made.results, made.again, made.missing_artifacts) == (2, [execution], [])
    async with make_service(local, ScriptedLaboratory()).running() as service, client(service.url) as http:
        await eventually(lambda: serves(http), "a controller that serves the broker")
        stale = await asyncio.to_thread(board.renew, answer)
        assert stale.error == "lease.stale"
        assert stale.record is not None
        assert (stale.record.state, stale.record.attempt) == ("QUEUED", 2)
        # The old attempt's last result, which the board still holds: taken, and the gap is counted.
        ack = await asyncio.to_thread(board.deliver, told[4])
        assert (ack.up_to, ack.refused) == (5, [])
        metrics = (await http.get("/metrics")).text
        assert "edgedyno_ingest_forgotten_results_total 2.0" in metrics
        again = await work(http, board, job)
        assert again.record is not None
        assert again.record.attempt == 2
        new = [message(result(execution, trial=f"t{n}", attempt=2), 5 + n, oldest_seq=6) for n in range(1, 6)]
        await asyncio.to_thread(board.deliver, *new)
        await asyncio.to_thread(board.update, again, "SUCCEEDED")
        found = (await http.get("/results", params={"job": job})).json()["results"]
        assert sorted((one["trial"], one["attempt"]) for one in found) == [(f"t{n}", 2) for n in range(1, 6)]
        assert (await state_of(http, job))["state"] == "SUCCEEDED"


async def test_backups_under_load_are_whole_and_restored(tmp_path: Path) -> None:
    """Backups are taken while boards deliver; in each, a stream's acknowledged results are all there."""
    (tmp_path / "fleet").mkdir()
    with SimulatedFleet(tmp_path / "fleet", 20) as fleet:
        await fleet.connect()
        await fleet.submit()
        await fleet.until(lambda: fleet.working == 20, seconds=60, what="all at work")
        counts = []
        for number in range(3):
            for _ in range(10):
                for board in fleet.boards:
                    board.put()
                await asyncio.sleep(0.02)
            target = tmp_path / f"backup{number}"
            await asyncio.to_thread(backup, fleet.config, target, with_artifacts=True)
            restored = await asyncio.to_thread(restore, target, tmp_path / f"data{number}")
            assert not restored.missing_artifacts
            counts.append(restored.results)
            check_streams(tmp_path / f"data{number}" / "controller.sqlite3")
        await fleet.until(lambda: fleet.waiting == 0, seconds=60, what="everything acknowledged")
        assert fleet.count("SELECT count(*) FROM results WHERE counted") == 600
        await fleet.leave()
    assert counts == sorted(counts)


def check_streams(path: Path) -> None:
    """Compare every stream's acknowledgement with the results that are there."""
    database = sqlite3.connect(path)
    for board, epoch, up_to in database.execute("SELECT board, stream_epoch, up_to FROM streams").fetchall():
        query = "SELECT count(*) FROM results WHERE board = ? AND stream_epoch = ? AND seq <= ?"
        assert database.execute(query, (board, epoch, up_to)).fetchone() == (up_to,)
    database.close()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a backup of the controller of version 0.1.0, with one artifact."""
    data = tmp_path / "old"
    data.mkdir()
    load_sqlite(read_dump("0.1.0", "sqlite"), data / "controller.sqlite3")
    config = ControllerConfig(data_dir=str(data))
    (data / "artifacts").mkdir()
    from edgedyno.controller.lab.files import ContentStore

    ContentStore(config.artifacts_dir).add_bytes(MODEL_BYTES)
    backup(config, tmp_path / "backup", with_artifacts=True)
    return tmp_path / "backup"


def test_a_backup_of_an_older_version_is_restored(made: Path, tmp_path: Path) -> None:
    done = restore(made, tmp_path / "new")
    assert (done.revision, done.artifacts) == ("0001", 1)
    assert len(done.again) >= 3
    assert not list((tmp_path / "new").glob("*-wal"))


def test_keys_are_copied_on_demand_and_for_nobody_else(tmp_path: Path) -> None:
    config = ControllerConfig(data_dir=str(tmp_path / "old"))
    (tmp_path / "old").mkdir()
    load_sqlite(read_dump("0.1.0", "sqlite"), tmp_path / "old" / "controller.sqlite3")
    open_signer(config.signing_folder)
    key = public_keys(config.signing_folder)
    without = backup(config, tmp_path / "without", with_artifacts=True)
    assert without.keys_left_out == [str(config.signing_folder)]
    assert not (tmp_path / "without" / "signing").exists()
    assert backup(config, tmp_path / "with", with_artifacts=True, with_keys=True).keys_left_out == []
    restore(tmp_path / "with", tmp_path / "new")
    for folder in (tmp_path / "with" / "signing", tmp_path / "new" / "signing"):
        assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*.pem"))} == {0}
    assert public_keys(tmp_path / "new" / "signing") == key


def spoil_database(made: Path) -> None:
    """Change one byte in the middle."""
    path = made / DATABASE_COPY
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def spoil_artifact(made: Path) -> None:
    """Change an artifact's content."""
    path = made / "artifacts" / sha256(MODEL_BYTES)[:2] / sha256(MODEL_BYTES)[2:4] / sha256(MODEL_BYTES)
    path.chmod(0o600)
    path.write_bytes(IMAGE_BYTES)


def make_newer(made: Path) -> None:
    """Pretend a newer version."""
    database = sqlite3.connect(made / DATABASE_COPY)
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    (made / "database.sha256").unlink()


def cut_short(made: Path) -> None:
    """Leave what a backup that was killed in the middle leaves."""
    (made / ARTIFACT_LIST).unlink()


@pytest.mark.parametrize(
    ("spoil", "kind", "code"),
    [
        (spoil_database, UnsupportedError, "restore.damaged"),
        (spoil_artifact, ConfigError, "artifact.wrong-content"),
        (make_newer, UnsupportedError, "database.newer"),
        (cut_short, ConfigError, "restore.backup"),
    ],
)
def test_what_is_not_whole_is_refused_and_leaves_nothing(
    made: Path, tmp_path: Path, spoil: Callable[[Path], None], kind: type[EdgedynoError], code: str
) -> None:
    spoil(made)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(kind) as caught:
        restore(made, tmp_path / "new")
    assert caught.value.code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_nothing_is_overwritten(made: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "precious").touch()
    with pytest.raises(ConfigError, match="in use"):
        restore(made, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["precious"]


def test_missing_artifacts_are_named(made: Path, tmp_path: Path) -> None:
    shutil.rmtree(made / "artifacts")
    assert restore(made, tmp_path / "new").missing_artifacts == [sha256(MODEL_BYTES)]
