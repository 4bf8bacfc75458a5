"""Queries over the boards."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, select, update

from edgedyno.controller.store.dialect import insert_new
from edgedyno.controller.store.tables import boards
from edgedyno.core.board import Capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedyno.core.messages import Caps, State

_capabilities = msgspec.json.Decoder(Capabilities)
_labels = msgspec.json.Decoder(dict[str, str])
_NAME = 128
_VERSION = 64
_REASON = 300


class Board(Struct, frozen=True):
    """A board as the store has it; `own_labels` are the operator's, `labels` both the agent's and those."""

    board: str
    online: bool
    drained: bool
    labels: dict[str, str]
    own_labels: dict[str, str]
    capabilities: Capabilities | None
    execution: str | None
    session_epoch: int
    agent_version: str
    refuses: str | None
    """Why it takes no new executions by itself, such as a full disk."""
    heard_at_seconds: float


def utc_now() -> str:
    """Return the wall clock for people: UTC, ISO 8601, to the second."""
    return dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def add_board(connection: Connection, board: str, now_seconds: float) -> None:
    """Add a board unless it is known."""
    row = {
        "board": board,
        "labels": "{}",
        "drained": False,
        "online": False,
        "boot_id": "",
        "session_epoch": 0,
        "agent_version": "",
        "capabilities_sha256": "",
        "heard_at_seconds": now_seconds,
        "created_utc": utc_now(),
    }
    connection.execute(insert_new(connection, boards), row)


# An older session's word changes nothing; nor does the last will of a board that was removed.
_not_older = boards.c.session_epoch <= bindparam("b_epoch")
_set_board = update(boards).where(boards.c.board == bindparam("b_board"), _not_older)
_set_dead = _set_board.where(~boards.c.removed)


def take_state(connection: Connection, state: State, now_seconds: float) -> bool:
    """Store a birth or death; False when it is older than what is known and was ignored.

    A birth brings a removed board back; the last will of one is ignored.
    """
    add_board(connection, state.board, now_seconds)
    values = {
        "b_board": state.board,
        "b_epoch": state.session_epoch,
        "removed": False,
        "online": state.online,
        "boot_id": state.boot_id[:_NAME],
        "session_epoch": state.session_epoch,
        "agent_version": state.agent_version[:_VERSION],
        "capabilities_sha256": state.capabilities_sha256[:64],
        "execution": state.execution[:160] if state.execution else None,
        "refuses": state.refuses[:_REASON] if state.refuses else None,
    }
    return connection.execute(_set_board if state.online else _set_dead, values).rowcount > 0


def take_caps(connection: Connection, caps: Caps, now_seconds: float) -> bool:
    """Store capabilities; False when they are older than what is known and were ignored."""
    add_board(connection, caps.board, now_seconds)
    values = {
        "b_board": caps.board,
        "b_epoch": caps.session_epoch,
        "capabilities": msgspec.json.encode(caps.capabilities).decode(),
    }
    return connection.execute(_set_board, values).rowcount > 0


_note_heard = (
    update(boards)
    .where(boards.c.board == bindparam("b_board"), boards.c.heard_at_seconds < bindparam("b_heard"))
    .values(heard_at_seconds=bindparam("b_heard"))
)


def note_heard(connection: Connection, heard: Mapping[str, float]) -> None:
    """Store when boards were last heard, in fleet seconds; locked in one order."""
    if heard:
        rows = [{"b_board": board, "b_heard": at_seconds} for board, at_seconds in sorted(heard.items())]
        connection.execute(_note_heard, rows)


def remove_board(connection: Connection, board: str) -> None:
    """Take a board off the lists; what it measured stays. Its next birth brings it back, whatever its epoch is."""
    connection.execute(
        update(boards)
        .where(boards.c.board == board)
        .values(removed=True, online=False, session_epoch=0, labels="{}", drained=False, execution=None)
    )


def read_boards(connection: Connection, *, removed: bool = False) -> list[Board]:
    """Return every board by name, with those that were removed if asked for."""
    query = select(boards).order_by(boards.c.board)
    return [_board(row) for row in connection.execute(query if removed else query.where(~boards.c.removed))]


def read_names(connection: Connection) -> list[str]:
    """Return every board's id."""
    return list(connection.execute(select(boards.c.board)).scalars())


def read_heard(connection: Connection) -> dict[str, float]:
    """Return when each board was last heard, in fleet seconds, as far as the store knows."""
    return {
        row.board: row.heard_at_seconds
        for row in connection.execute(select(boards.c.board, boards.c.heard_at_seconds))
    }


def read_board(connection: Connection, board: str) -> Board | None:
    """Return one board that was not removed."""
    query = select(boards).where(boards.c.board == board, ~boards.c.removed)
    row = connection.execute(query).first()
    return _board(row) if row else None


def change_board(
    connection: Connection, board: str, *, labels: Mapping[str, str | None], drained: bool | None
) -> Board | None:
    """Set labels (None takes one away) and whether the board is drained; None for no such board."""
    query = select(boards).where(boards.c.board == board, ~boards.c.removed)
    row = connection.execute(query.with_for_update()).first()
    if row is None:
        return None
    own = {**_labels.decode(row.labels), **labels}
    values = {"labels": msgspec.json.encode({k: v for k, v in own.items() if v is not None}).decode()}
    connection.execute(
        update(boards)
        .where(boards.c.board == board)
        .values(**values, drained=row.drained if drained is None else drained)
    )
    return read_board(connection, board)


def _board(row: Row[tuple[object, ...]]) -> Board:
    capabilities = _capabilities.decode(row.capabilities) if row.capabilities else None
    own = _labels.decode(row.labels)
    return Board(
        board=row.board,
        online=row.online,
        drained=row.drained,
        labels={**(capabilities.labels if capabilities else {}), **own},
        own_labels=own,
        capabilities=capabilities,
        execution=row.execution,
        session_epoch=row.session_epoch,
        agent_version=row.agent_version,
        refuses=row.refuses,
        heard_at_seconds=row.heard_at_seconds,
    )
