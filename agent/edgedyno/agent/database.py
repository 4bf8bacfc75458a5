"""The agent's one SQLite file: opening, schema, transactions, reserved space. Rows mean nothing here."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from edgedyno.core.errors import ConfigError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)
T = TypeVar("T")

SCHEMA_VERSION = 1
# Room for some hundred results (about 5 kB each with indexes and log), given up when the disk is full.
RESERVE_BYTES = 4 << 20

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE execution (
    id INTEGER PRIMARY KEY CHECK (id = 1), execution TEXT NOT NULL, attempt INTEGER NOT NULL,
    lease_id TEXT NOT NULL, lease_seconds REAL NOT NULL, version INTEGER NOT NULL, manifest BLOB NOT NULL,
    boot_id TEXT NOT NULL, started_monotonic REAL NOT NULL, phase TEXT NOT NULL DEFAULT 'fetch',
    starts INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
    outcome TEXT, reason TEXT);
CREATE TABLE trial (
    execution TEXT NOT NULL, attempt INTEGER NOT NULL, trial TEXT NOT NULL,
    PRIMARY KEY (execution, attempt, trial)) WITHOUT ROWID;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, msg_id TEXT NOT NULL UNIQUE, execution TEXT NOT NULL,
    attempt INTEGER NOT NULL, lease_id TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE upload (
    seq INTEGER NOT NULL REFERENCES outbox (seq) ON DELETE CASCADE, sha256 TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (seq, sha256)) WITHOUT ROWID;
CREATE INDEX upload_sha256 ON upload (sha256);
CREATE TABLE refused (
    seq INTEGER PRIMARY KEY, msg_id TEXT NOT NULL, execution TEXT NOT NULL, record BLOB NOT NULL,
    code TEXT NOT NULL, text TEXT NOT NULL);
"""


class StorageError(RetryableError):
    """Nothing can be written now: the disk is full or failing."""

    code = "storage.full"


class Database:
    """An open database, owned by one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "agent.db"
        self._reserve = folder / "reserve"
        self.connection = self._open_or_replace()
        self.restore_reserve()

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open_reserved()
        except sqlite3.OperationalError as error:
            raise ConfigError(f"{self.path}: cannot be opened: {error}", code="storage.open") from error
        except sqlite3.DatabaseError:
            aside = self.path.with_name(f"agent.db.broken-{os.urandom(4).hex()}")
            log.exception("%s is damaged: kept as %s, a new one begins", self.path, aside.name)
            self.path.rename(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            return self._open()

    def _open_reserved(self) -> sqlite3.Connection:
        """Open the file; give up the reserved space where the files beside it have no room."""
        try:
            return self._open()
        except sqlite3.OperationalError:
            if not self._reserve.exists():
                raise
            self._reserve.unlink()
            return self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=5.0)
        try:
            # FULL: in WAL mode nothing less survives a power cut (https://sqlite.org/pragma.html#pragma_synchronous).
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "cache_size = -256",
            ):
                connection.execute(f"PRAGMA {pragma}")
            found = self._check(connection)
            if found == 0:
                connection.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> int:
        """Return the schema's version of a whole file that this agent understands."""
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            raise ConfigError(
                f"{self.path}: found schema version {found}, expected at most {SCHEMA_VERSION}: "
                "it was written by a newer agent",
                code="storage.version",
            )
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        return found

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements that become durable together, or not at all; may be nested.

        Raises StorageError when the disk is full or fails; nothing has changed then.
        """
        if self.connection.in_transaction:
            yield self.connection
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.OperationalError):
                raise StorageError(f"{self.path}: cannot be written: {error}") from error
            raise

    def _roll_back(self) -> None:
        # SQLite has done it already after some errors, a full disk among them.
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def write_reserved(self, write: Callable[[], T]) -> T:
        """Run `write`, which makes one transaction; give up the reserved space if the disk is full.

        For all that what has begun needs to come to its end: only new work is refused on a full disk.
        """
        try:
            return write()
        except StorageError:
            if not self._reserve.exists():
                raise
            log.warning("%s cannot be written: giving up the reserved %d bytes", self.path, RESERVE_BYTES)
            self._reserve.unlink()
            return write()

    def restore_reserve(self) -> bool:
        """Take up the reserved space (again), if the disk has it; False where it has not."""
        if self._reserve.exists() and self._reserve.stat().st_size == RESERVE_BYTES:
            return True
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError as error:
            self._reserve.unlink(missing_ok=True)
            log.warning("no space to reserve for results in %s: %s", self.folder, error)
            return False
        return True

    def get_meta(self, key: str) -> str | None:
        """Return what is kept under `key`."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Keep `value` under `key`."""

        def write() -> None:
            with self.transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

        self.write_reserved(write)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def next_session_epoch(database: Database, *, above: int = 0) -> int:
    """Return a number above those of all earlier starts and above `above`; it is kept before it is used."""
    epoch = max(int(database.get_meta("session_epoch") or 0), above) + 1
    database.write_reserved(lambda: database.set_meta("session_epoch", str(epoch)))
    return epoch
