"""Which of several replicas minds the timeouts, builds and scores. On SQLite it is the only one there is."""

from __future__ import annotations

import fcntl
import logging
from typing import IO, TYPE_CHECKING

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
_LOCK = 0x6564_6C64


class Leadership:
    """Holds a PostgreSQL advisory lock on a connection of its own; freed when this process dies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def check(self) -> bool:
        """Tell whether this replica leads, taking the lead when it is free."""
        if self._engine.dialect.name == "sqlite":
            return True
        try:
            return self._check()
        except DBAPIError:
            log.warning("leadership lost with the database connection")
            self.release()
            return False

    def _check(self) -> bool:
        if self._connection is not None:
            self._connection.execute(select(1))
            return True
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.execute(select(func.pg_try_advisory_lock(_LOCK))).scalar():
            self._connection = connection
            log.info("leads the replicas")
            return True
        connection.close()
        return False

    def release(self) -> None:
        """Let another replica lead."""
        if self._connection is not None:
            # The pool would keep the session, and with it the lock.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


class DataDirLock:
    """Keeps a second service off the same folder for as long as this object lives."""

    def __init__(self, folder: Path) -> None:
        path = folder / "controller.lock"
        self._file: IO[str] = path.open("w", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ConfigError(
                f"data_dir: {folder} is in use by another controller", code="config.data_dir"
            ) from error

    def release(self) -> None:
        """Let others have the folder."""
        self._file.close()
