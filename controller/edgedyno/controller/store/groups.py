"""Queries over the groups: selectors of boards by name."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, select, update

from edgedyno.controller.store.boards import utc_now
from edgedyno.controller.store.dialect import insert_new
from edgedyno.controller.store.tables import board_groups
from edgedyno.core.targets import BoardSelector

_selector = msgspec.json.Decoder(BoardSelector)


def read_groups(connection: Connection) -> dict[str, BoardSelector]:
    """Return every group by name."""
    rows = connection.execute(select(board_groups).order_by(board_groups.c.name))
    return {row.name: _selector.decode(row.selector) for row in rows}


def write_group(connection: Connection, name: str, selector: BoardSelector) -> None:
    """Add a group, or put another selector in its place."""
    values = {"selector": msgspec.json.encode(selector).decode(), "changed_utc": utc_now()}
    connection.execute(insert_new(connection, board_groups).values(name=name, **values))
    connection.execute(update(board_groups).where(board_groups.c.name == name).values(**values))


def remove_group(connection: Connection, name: str) -> None:
    """Remove a group, if it is there."""
    connection.execute(delete(board_groups).where(board_groups.c.name == name))
