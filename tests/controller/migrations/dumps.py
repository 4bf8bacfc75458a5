"""Where the dumps of released databases are, and how each becomes a database again."""

from __future__ import annotations

import gzip
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.controller.service.postgresql import PostgreSql

FOLDER = Path(__file__).parents[2] / "fixtures" / "databases"


def released() -> list[str]:
    """Return the versions of which there are dumps, oldest first."""
    names = (path.name.removesuffix(".sqlite.sql.gz") for path in FOLDER.glob("*.sqlite.sql.gz"))
    return sorted(names, key=lambda version: [int(part) for part in version.split(".")])


def read_dump(version: str, kind: str) -> str:
    """Return the SQL of a dump; `kind` is sqlite, postgresql or agent."""
    return gzip.decompress((FOLDER / f"{version}.{kind}.sql.gz").read_bytes()).decode()


def write_dump(version: str, kind: str, sql: str) -> Path:
    """Write a dump, the same bytes for the same text."""
    path = FOLDER / f"{version}.{kind}.sql.gz"
    path.write_bytes(gzip.compress(sql.encode(), mtime=0))
    return path


def load_sqlite(sql: str, path: Path) -> None:
    """Make the database file that an SQLite dump was taken of."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(sql)
    connection.close()


def load_postgresql(sql: str, server: PostgreSql) -> str:
    """Empty the server's database, fill it from a dump of pg_dump, and return its URL."""
    url = server.url()
    command = [str(server.programs / "psql"), "--quiet", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", url]
    done = subprocess.run(command, input=sql, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return url
