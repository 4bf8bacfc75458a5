"""Put a backup back: checked first, copied beside its place, then moved there in one step. Nothing is overwritten.

Boards have forgotten what was acknowledged after the backup. So every execution that was not over when it was made
begins again as a new attempt: what its board still holds of the old one comes, is kept and superseded, and nothing
is missing in the end. Jobs that were submitted after the backup are lost, and their boards drop them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.config import DATABASE_NAME
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.store.backup import (
    ARTIFACT_LIST,
    DATABASE_COPY,
    DATABASE_HASH,
    SECURITY,
    SIGNING,
    copy_keys,
    hash_file,
)
from edgedyno.controller.store.database import make_engine
from edgedyno.controller.store.migrate import check_known
from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Restored(Struct, frozen=True):
    """What was put back, and what is not in it."""

    folder: str
    revision: str
    artifacts: int
    missing_artifacts: list[str]
    """Listed when the backup was made, but not among its files: they have to come from elsewhere."""
    results: int
    again: list[str]
    """Executions that were queued or ran when the backup was made: they begin again as new attempts."""


def restore(backup: Path, data_dir: Path) -> Restored:
    """Make `data_dir` of a backup. It must not exist, or be empty.

    Raises ConfigError for a folder in use or a backup that is not whole, UnsupportedError for a newer database.
    """
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise ConfigError(f"found {data_dir} in use, expected an empty folder or none", code="restore.folder")
    source = backup / DATABASE_COPY
    if not source.is_file():
        raise ConfigError(f"found no {DATABASE_COPY} in {backup}, expected a backup", code="restore.backup")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is one rename: a half-written folder never has the target's name.
    part = Path(tempfile.mkdtemp(dir=data_dir.parent, prefix=f".{data_dir.name}-"))
    try:
        shutil.copyfile(source, part / DATABASE_NAME)
        _check_hash(backup, part / DATABASE_NAME)
        missing, count = _copy_artifacts(backup, ContentStore(part / "artifacts"))
        for name in (SECURITY, SIGNING):
            if (backup / name).is_dir():
                copy_keys(backup / name, part / name)
        restored = _examine(part / DATABASE_NAME, data_dir, count, missing)
        _sync(part)
        part.rename(data_dir)
        _sync_folder(data_dir.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return restored


def _check_hash(backup: Path, copy: Path) -> None:
    listed = backup / DATABASE_HASH
    if not listed.is_file():
        return  # of version 0.1.0; its pages are checked below, as every backup's are
    expected, found = listed.read_text(encoding="utf-8").split()[0], hash_file(copy)
    if found != expected:
        text = f"{DATABASE_COPY}: found sha256 {found}, expected {expected}: the backup is damaged"
        raise UnsupportedError(text, code="restore.damaged")


def _copy_artifacts(backup: Path, target: ContentStore) -> tuple[list[str], int]:
    """Copy the artifacts that the backup has; each is hashed on the way, and another content is refused."""
    listed = backup / ARTIFACT_LIST
    if not listed.is_file():
        raise ConfigError(f"found no {ARTIFACT_LIST} in {backup}, expected a backup", code="restore.backup")
    names = [line.split()[0] for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not (backup / "artifacts").is_dir():
        return names, 0
    found = ContentStore(backup / "artifacts")
    present = [name for name in names if found.has(name)]
    target.add_files((name, found.path(name)) for name in present)
    return sorted(set(names) - set(present)), len(present)


def _examine(database: Path, data_dir: Path, artifacts: int, missing: list[str]) -> Restored:
    """Check the database's pages and version, and count what is in it."""
    read = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        verdict = read.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise UnsupportedError(
            f"the backup's database is damaged: {error}", code="restore.damaged"
        ) from error
    finally:
        read.close()
    if verdict != "ok":
        raise UnsupportedError(f"the backup's database is damaged: {verdict}", code="restore.damaged")
    engine = make_engine(f"sqlite:///{database}", pooled=False)
    try:
        with engine.begin() as connection:
            revision = check_known(connection)
            results = connection.exec_driver_sql("SELECT count(*) FROM results").scalar_one()
            again = _begin_again(connection)
    finally:
        engine.dispose()
    return Restored(str(data_dir), revision, artifacts, missing, int(results), again)


def _begin_again(connection: Connection) -> list[str]:
    """Queue a new attempt of what was not over; return the executions.

    In plain SQL: an older backup lacks columns that the store's own queries ask for.
    """
    live = "state IN ('QUEUED', 'IN_PROGRESS')"
    query = f"SELECT execution FROM executions WHERE {live} ORDER BY position"  # noqa: S608 our own words
    names = list(connection.exec_driver_sql(query).scalars())
    connection.exec_driver_sql(
        "UPDATE executions SET state = 'QUEUED', attempt = attempt + 1, version = version + 1, stalled = 0, "  # noqa: S608
        "progress = NULL, reason = NULL, lease_id = NULL, lease_request_id = NULL, lease_ends_at_seconds = NULL, "
        f"started_at_seconds = NULL WHERE {live}"
    )
    return names


def _sync(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            _sync_folder(path)
    with (folder / DATABASE_NAME).open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
