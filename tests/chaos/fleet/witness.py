"""Watches from inside the database: whether an attempt was changed once it had ended. Triggers tell, not readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

# A newer attempt of an ended execution begins by counting up; scores come without a version of their own.
_CHANGED = """
    OLD.state NOT IN ('QUEUED', 'IN_PROGRESS') AND NEW.attempt = OLD.attempt AND NEW.version <> OLD.version
"""
_TELL = "INSERT INTO chaos_witness VALUES (OLD.execution, OLD.attempt, OLD.state, NEW.state);"
_TABLE = "CREATE TABLE chaos_witness (execution TEXT, attempt INTEGER, was TEXT, became TEXT)"
_SQLITE = [
    _TABLE,
    f"CREATE TRIGGER chaos_changed AFTER UPDATE ON executions WHEN {_CHANGED} BEGIN {_TELL} END",
]
_POSTGRESQL_TRIGGER = (
    "CREATE TRIGGER chaos_changed AFTER UPDATE ON executions FOR EACH ROW "
    f"WHEN ({_CHANGED}) EXECUTE FUNCTION chaos_tell()"
)
_POSTGRESQL = [
    _TABLE,
    f"CREATE FUNCTION chaos_tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_TELL} RETURN NULL; END $$",
    _POSTGRESQL_TRIGGER,
]


def begin(connection: Connection) -> None:
    """Have the database watch from now on."""
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL:
        connection.execute(text(statement))


def read(connection: Connection) -> list[str]:
    """Return what was seen."""
    rows = connection.execute(text("SELECT execution, attempt, was, became FROM chaos_witness"))
    return [
        f"{row.execution}: attempt {row.attempt} had ended as {row.was} and was changed, to {row.became}"
        for row in rows
    ]
