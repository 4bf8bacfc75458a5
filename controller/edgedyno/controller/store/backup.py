"""Back up a running controller: a consistent copy of the database and the list of the artifacts."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy
from msgspec import Struct

from edgedyno.controller.lab.files import ContentStore
from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from edgedyno.controller.config import ControllerConfig

DATABASE_COPY = "controller.sqlite3"
ARTIFACT_LIST = "artifacts.sha256"
DATABASE_HASH = "database.sha256"
SECURITY, SIGNING = "security", "signing"
"""The folders of the authority's and the signing keys, here as in a controller's data folder by default."""


class Backup(Struct, frozen=True):
    """What was written."""

    folder: str
    artifacts: int
    artifact_bytes: int
    keys_left_out: list[str] = []
    """Folders of keys that there are, and that were not copied."""


def backup(
    config: ControllerConfig, folder: Path, *, with_artifacts: bool = False, with_keys: bool = False
) -> Backup:
    """Write the database, the list of artifacts (as `sha256sum --check` reads it), and on demand files and keys.

    The database first: artifacts that come later are in the list and harm nothing, a missing one would.
    Raises UnsupportedError on PostgreSQL, which brings pg_dump.
    """
    source = sqlalchemy.make_url(config.url)
    if source.get_backend_name() != "sqlite" or source.database is None:
        raise UnsupportedError(
            "the database is PostgreSQL: use pg_dump, and copy the artifacts folder after it",
            code="backup.postgresql",
        )
    if not Path(source.database).is_file():
        raise ConfigError(f"found no database at {source.database}", code="backup.no-database")
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"found {folder} in use, expected an empty folder", code="backup.folder")
    folder.mkdir(parents=True, exist_ok=True)
    _copy_database(Path(source.database), folder / DATABASE_COPY)
    digest = hash_file(folder / DATABASE_COPY)
    (folder / DATABASE_HASH).write_text(f"{digest}  {DATABASE_COPY}\n", encoding="utf-8")
    store = ContentStore(config.artifacts_dir)
    names = list(store.names())
    lines = [f"{name}  artifacts/{name[:2]}/{name[2:4]}/{name}\n" for name in names]
    (folder / ARTIFACT_LIST).write_text("".join(lines), encoding="utf-8")
    if with_artifacts:
        copy = ContentStore(folder / "artifacts")
        copy.add_files((name, store.path(name)) for name in names)
    keys = {SECURITY: config.security_folder, SIGNING: config.signing_folder}
    there = {name: path for name, path in keys.items() if path.is_dir() and any(path.iterdir())}
    if with_keys:
        for name, path in there.items():
            copy_keys(path, folder / name)
    left_out = [] if with_keys else [str(path) for path in there.values()]
    return Backup(str(folder), len(names), store.size_bytes(), left_out)


def copy_keys(source: Path, target: Path) -> None:
    """Copy a folder of keys, closed to everybody else from its first moment on."""
    target.mkdir(mode=0o700)
    shutil.copytree(source, target, dirs_exist_ok=True)


def hash_file(path: Path) -> str:
    """Return a file's sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _copy_database(source: Path, target: Path) -> None:
    """Copy page by page through SQLite's own backup, which waits for writers and copies no torn page."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".database")
    os.close(descriptor)
    read = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
    write = sqlite3.connect(name)
    try:
        read.backup(write)
        found = write.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        read.close()
        write.close()
    if found != "ok":
        raise UnsupportedError(f"the copy of {source} is damaged: {found}", code="backup.damaged")
    with Path(name).open("rb") as file:
        os.fsync(file.fileno())
    shutil.move(name, target)
