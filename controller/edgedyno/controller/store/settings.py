"""Queries over the settings: one value by name."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from edgedyno.controller.store.dialect import insert_new
from edgedyno.controller.store.tables import settings


def read_setting(connection: Connection, name: str) -> str | None:
    """Return a setting, or None when it was never written."""
    return connection.execute(select(settings.c.value).where(settings.c.name == name)).scalar()


def write_setting(connection: Connection, name: str, value: str) -> None:
    """Write a setting."""
    connection.execute(insert_new(connection, settings).values(name=name, value=value))
    connection.execute(update(settings).where(settings.c.name == name).values(value=value))
