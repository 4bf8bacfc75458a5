"""Bring a database to this version's tables. One caller at a time; a newer database is refused."""

from __future__ import annotations

from importlib.resources import as_file, files

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from edgedyno.core.errors import UnsupportedError

# Any number of this program's own: replicas that start together take turns by it.
_LOCK = 0x6564_6764


def migrate(engine: Engine) -> str:
    """Run the missing steps under a lock and return the revision reached.

    Raises UnsupportedError when the database was written by a newer version.
    """
    with as_file(files("edgedyno.controller.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        script = ScriptDirectory.from_config(config)
        with engine.execution_options(edgedyno_writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_LOCK)))
            _refuse_newer(connection, script)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return str(script.get_current_head())


def _refuse_newer(connection: Connection, script: ScriptDirectory) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    known = [step.revision for step in script.walk_revisions()]
    if found is not None and found not in known:
        raise UnsupportedError(
            f"found a database at revision {found}, expected one of {', '.join(sorted(known))}: "
            "it was written by a newer edgedyno",
            code="database.newer",
        )
