"""The way to the database: one writer thread, a few reader threads, transactions. Knows no table."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from edgedyno.controller.histogram import Histogram
from edgedyno.core.errors import ConfigError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
ATTEMPTS = 4
_WRITES = "edgedyno_writes"
# PostgreSQL's serialization_failure and deadlock_detected: the same transaction succeeds when tried again.
_RETRY_STATES = frozenset({"40001", "40P01"})


class Database:
    """Runs plain functions of a connection in transactions, off the event loop."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._writing = self.engine.execution_options(**{_WRITES: True})
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")
        self.write_seconds = Histogram()
        """Of transactions with their commit, tries again included."""
        self.read_seconds = Histogram()

    @property
    def is_sqlite(self) -> bool:
        """Tell whether this is one SQLite file, which has one service."""
        return self.engine.dialect.name == "sqlite"

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function` in one transaction on the writer thread; committed when this returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.writer, lambda: self.write_now(function, *args, **kwargs))

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function` over one consistent view on a reader thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: self.read_now(function, *args, **kwargs))

    def write_now(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function` in one transaction in this thread; tried again after a deadlock."""
        started = time.monotonic()
        try:
            return self._write_now(function, *args, **kwargs)
        finally:
            self.write_seconds.observe(time.monotonic() - started)

    def _write_now(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._writing.begin() as connection:
                    return function(connection, *args, **kwargs)
            except DBAPIError as error:
                if attempt == ATTEMPTS or not _may_succeed_again(error):
                    raise
                log.info("transaction tried again", extra={"attempt": attempt, "cause": str(error.orig)})
                time.sleep(0.01 * attempt)
        raise AssertionError

    def read_now(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function` in a transaction that is rolled back, in this thread."""
        started = time.monotonic()
        try:
            with self.engine.connect() as connection:
                return function(connection, *args, **kwargs)
        finally:
            self.read_seconds.observe(time.monotonic() - started)

    def size_bytes(self) -> int | None:
        """Return the size of an SQLite database with its log; None for PostgreSQL."""
        name = self.engine.url.database
        if not self.is_sqlite or name is None:
            return None
        files = (Path(name), Path(f"{name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Finish what was begun and let the connections go."""
        self.writer.shutdown()
        self._readers.shutdown()
        self.engine.dispose()


def make_engine(url: str, *, pooled: bool = True) -> Engine:
    """Return an engine for an SQLite or PostgreSQL URL; raises ConfigError for any other."""
    try:
        parsed = _known_url(url)
        options: dict[str, Any] = {} if pooled else {"poolclass": NullPool}
        if parsed.get_backend_name() == "postgresql":
            options["pool_pre_ping"] = True
        engine = sqlalchemy.create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        # The URL may hold a password: it is not repeated here.
        raise ConfigError(
            f"database_url: found {type(error).__name__}: {error}, expected sqlite:///FILE or "
            "postgresql://USER@HOST/NAME (which needs `pip install edgedyno[postgresql]`)",
            code="database.url",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _known_url(url: str) -> sqlalchemy.URL:
    parsed = sqlalchemy.make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError(parsed.get_backend_name())
    return parsed


def check_reachable(engine: Engine) -> None:
    """Raise RetryableError when the database does not answer."""
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
    except DBAPIError as error:
        raise RetryableError(
            f"the database {engine.url.render_as_string(hide_password=True)} is out of reach: {error.orig}",
            code="database.unreachable",
        ) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own implicit BEGIN comes too late to be IMMEDIATE; _begin_sqlite opens transactions.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    # A deferred transaction that turns to writing fails at once when another has written in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _may_succeed_again(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state in _RETRY_STATES
