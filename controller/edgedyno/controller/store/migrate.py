"""Bring a database to this version's tables. One caller at a time; a newer database is refused."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from edgedyno.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Any number of this program's own: replicas that start together take turns by it.
_LOCK = 0x6564_6764


def migrate(engine: Engine) -> str:
    """Run the missing steps under a lock and return the revision reached.

    Raises UnsupportedError when the database was written by a newer version.
    """
    with _scripts() as config:
        script = ScriptDirectory.from_config(config)
        with engine.execution_options(edgedyno_writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_LOCK)))
            _refuse_newer(connection, script)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return str(script.get_current_head())


def check_known(connection: Connection) -> str:
    """Return a database's revision, which need not be the newest.

    Raises UnsupportedError when it was written by a newer version, or is no database of this program.
    """
    with _scripts() as config:
        found = _refuse_newer(connection, ScriptDirectory.from_config(config))
    if found is None:
        raise UnsupportedError("found no revision, expected a controller's database", code="database.foreign")
    return found


def _refuse_newer(connection: Connection, script: ScriptDirectory) -> str | None:
    found: str | None = MigrationContext.configure(connection).get_current_revision()
    known = [step.revision for step in script.walk_revisions()]
    if found is not None and found not in known:
        raise UnsupportedError(
            f"found a database at revision {found}, expected one of {', '.join(sorted(known))}: "
            "it was written by a newer edgedyno",
            code="database.newer",
        )
    return found


@contextmanager
def _scripts() -> Iterator[Config]:
    with as_file(files("edgedyno.controller.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        yield config
