"""Configuration, migrations, backups, systemd: what an operator touches."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from edgedyno.controller.config import ControllerConfig, load_config
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.main import migrate_database
from edgedyno.controller.notify import notify, watchdog_seconds
from edgedyno.controller.store.backup import backup
from edgedyno.controller.store.boards import add_board, read_boards
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate
from edgedyno.controller.store.tables import metadata
from edgedyno.core.errors import ConfigError, RetryableError, UnsupportedError
from tests.conftest import ROOT, free_port

if TYPE_CHECKING:
    from pathlib import Path

UNIT = ROOT / "systemd" / "edgedyno-controller.service"


def test_flags_come_before_the_environment_before_the_file_before_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "controller.yaml"
    file.write_text("broker_host: from.file\nlisten_port: 1\nlease_seconds: 2 min\ndata_dir: /file\n")
    environ = {
        "EDGEDYNO_LISTEN_PORT": "2",
        "EDGEDYNO_DATA_DIR": "/environ",
        "EDGEDYNO_MAX_ARTIFACT_BYTES": "1 MiB",
    }
    config = load_config(file, environ=environ, flags={"data_dir": "/flag", "broker_port": None})
    assert (config.data_dir, config.listen_port, config.broker_host) == ("/flag", 2, "from.file")
    assert (config.lease_seconds, config.max_artifact_bytes, config.broker_port) == (120.0, 2**20, 1883)
    assert config.url == "sqlite:////flag/controller.sqlite3"


@pytest.mark.parametrize(
    ("text", "environ", "wanted"),
    [
        ("broker_hots: x\n", {}, r"controller.yaml:1: .*'broker_hots'.*did you mean 'broker_host'"),
        ("broker_port: 70000\n", {}, r"controller.yaml:1: broker_port: .*<= 65535"),
        ("{}\n", {"EDGEDYNO_LISTEN_PORT": "many"}, r"EDGEDYNO_LISTEN_PORT:1: listen_port"),
        ("lease_seconds: 5 kg\n", {}, r"units: s, ms"),
    ],
)
def test_mistakes_are_named_with_their_place(
    tmp_path: Path, text: str, environ: dict[str, str], wanted: str
) -> None:
    file = tmp_path / "controller.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ=environ)
    assert re.search(wanted, str(caught.value))


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml", environ={})
    config = ControllerConfig(broker_password_file=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="broker_password_file"):
        config.broker_password()
    (tmp_path / "secret").write_text("hunter2\n")
    assert ControllerConfig(broker_password_file=str(tmp_path / "secret")).broker_password() == "hunter2"


def test_the_migrations_make_the_tables_that_the_code_means(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_again_changes_nothing_and_a_newer_database_is_refused(database: Database) -> None:
    database.write_now(add_board, "a", 0.0)
    newest = migrate(database.engine)
    assert migrate(database.engine) == newest
    assert [board.board for board in database.read_now(read_boards)] == ["a"]
    newer = sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'")
    database.write_now(lambda connection: connection.execute(newer))
    with pytest.raises(UnsupportedError, match="written by a newer edgedyno") as caught:
        migrate(database.engine)
    assert caught.value.code == "database.newer"


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "oracle://user:secret@x/y"])
def test_other_databases_are_refused_without_repeating_a_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert "postgresql://" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_out_of_reach_is_said_to_be(tmp_path: Path) -> None:
    url = f"postgresql://user:secret@127.0.0.1:{free_port()}/x"
    with pytest.raises(RetryableError) as caught:
        migrate_database(ControllerConfig(data_dir=str(tmp_path), database_url=url))
    assert caught.value.exit_code == 3
    assert "secret" not in str(caught.value)


def test_a_backup_of_a_running_controller_can_be_opened(tmp_path: Path) -> None:
    config = ControllerConfig(data_dir=str(tmp_path / "data"))
    kept = ContentStore(config.artifacts_dir).add_bytes(b"content")
    with pytest.raises(ConfigError, match="no database"):
        backup(config, tmp_path / "backup")
    database = Database(config.url)
    migrate(database.engine)
    database.write_now(add_board, "a", 0.0)
    made = backup(config, tmp_path / "backup", with_artifacts=True)
    database.close()
    assert (made.artifacts, made.artifact_bytes) == (1, 7)
    check = ["sha256sum", "--check", "--strict", "--quiet", "artifacts.sha256"]
    assert subprocess.run(check, cwd=tmp_path / "backup", check=False).returncode == 0
    copy = Database(f"sqlite:///{tmp_path / 'backup' / 'controller.sqlite3'}")
    assert [board.board for board in copy.read_now(read_boards)] == ["a"]
    copy.close()
    assert ContentStore(tmp_path / "backup" / "artifacts").has(kept.sha256)
    with pytest.raises(ConfigError, match="in use"):
        backup(config, tmp_path / "backup")
    elsewhere = ControllerConfig(data_dir=str(tmp_path / "data"), database_url="postgresql://x/y")
    with pytest.raises(UnsupportedError, match="pg_dump"):
        backup(elsewhere, tmp_path / "other")


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    assert watchdog_seconds() == 30.0


def analyze(*arguments: str, unit: Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on a unit file."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.fail("no systemd-analyze found; install Debian's package `systemd`")
    return subprocess.run(
        [program, *arguments, str(unit)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning", "SYSTEMD_COLORS": "0"},
    )


def test_the_unit_is_valid(tmp_path: Path) -> None:
    program = tmp_path / "edgedyno"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    # The program is installed elsewhere in a checkout; all else is checked as it stands.
    unit.write_text(UNIT.read_text().replace("/usr/bin/edgedyno", str(program)))
    done = analyze("verify", "--man=no", unit=unit)
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr


def test_the_unit_is_hardened() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager", unit=UNIT)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
