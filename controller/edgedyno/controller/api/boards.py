"""Boards by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType

from edgedyno.controller import lifecycle
from edgedyno.controller.api.parts import Parts, choice, json_answer, parts_of, read_body
from edgedyno.controller.lifecycle import NotFoundError
from edgedyno.controller.store import boards as store
from edgedyno.controller.store import executions
from edgedyno.core.document import nearest

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from edgedyno.controller.store.boards import Board


class Change(Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator changes about a board; a label with null is taken away."""

    labels: dict[str, str | None] = {}
    drained: bool | UnsetType = UNSET


async def list_all(request: Request) -> Response:
    """List every board."""
    parts = parts_of(request)
    return json_answer({"boards": await parts.database.read(read_views, parts)})


async def show(request: Request) -> Response:
    """Show one board."""
    parts, name = parts_of(request), request.path_params["board"]
    return json_answer(await parts.database.read(_read_view, parts, name))


async def change(request: Request) -> Response:
    """Label or drain a board."""
    parts, name = parts_of(request), request.path_params["board"]
    wanted = await read_body(request, Change)
    drained = None if wanted.drained is UNSET else bool(wanted.drained)
    await parts.database.write(_change, name, wanted.labels, drained=drained)
    parts.doorbell.ring([name])
    return json_answer(await parts.database.read(_read_view, parts, name))


async def remove(request: Request) -> Response:
    """Take a board out of the fleet; with `force=yes` while it is online."""
    parts, name = parts_of(request), request.path_params["board"]
    force = choice(request, "force", ("no", "yes")) == "yes"
    await parts.database.write(_remove, name, parts.clock.now(), force=force)
    parts.forget(name)
    parts.scheduler.wake()
    return json_answer({"board": name, "removed": True})


def _remove(connection: Connection, name: str, now_seconds: float, *, force: bool) -> None:
    if not lifecycle.remove(connection, name, now_seconds, force=force):
        raise _unknown(connection, name)


def _change(
    connection: Connection, name: str, labels: dict[str, str | None], *, drained: bool | None
) -> None:
    if store.change_board(connection, name, labels=labels, drained=drained) is None:
        raise _unknown(connection, name)


def read_views(connection: Connection, parts: Parts) -> list[dict[str, Any]]:
    """Return all boards as the API shows them."""
    heard = parts.presence.heard()
    running = {e.board: e.execution for e in executions.live(connection) if e.state == "IN_PROGRESS"}
    return [_view(board, parts, heard, running) for board in store.read_boards(connection)]


def _read_view(connection: Connection, parts: Parts, name: str) -> dict[str, Any]:
    for view in read_views(connection, parts):
        if view["board"] == name:
            return view
    raise _unknown(connection, name)


def _unknown(connection: Connection, name: str) -> NotFoundError:
    hint = nearest(name, [board.board for board in store.read_boards(connection)])
    return NotFoundError(f"found no board {name!r}{hint}", code="board.unknown")


def _view(board: Board, parts: Parts, heard: dict[str, float], running: dict[str, str]) -> dict[str, Any]:
    heard_at = heard.get(board.board, board.heard_at_seconds)
    return {
        "board": board.board,
        "online": board.online,
        "last_seen_seconds": max(0.0, parts.clock.now() - heard_at),
        "labels": board.labels,
        "drained": board.drained,
        "refuses": board.refuses,
        "profile": board.capabilities.profile if board.capabilities else None,
        "capabilities": board.capabilities,
        "execution": running.get(board.board),
    }
