"""Groups of boards by HTTP: selectors that jobs name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from edgedyno.controller.api.parts import json_answer, parts_of, read_body
from edgedyno.controller.lifecycle import NotFoundError
from edgedyno.controller.rollout.targets import check_selector, choose
from edgedyno.controller.store import groups as store
from edgedyno.controller.store import jobs, rollouts
from edgedyno.controller.store.boards import read_boards
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError, UnsupportedError
from edgedyno.core.targets import BoardSelector

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


async def list_all(request: Request) -> Response:
    """List every group with its boards."""
    return json_answer({"groups": await parts_of(request).database.read(_read_views)})


async def show(request: Request) -> Response:
    """Show one group."""
    return json_answer(await parts_of(request).database.read(_read_view, request.path_params["group"]))


async def put(request: Request) -> Response:
    """Make a group, or put another selector in its place."""
    name = request.path_params["group"]
    selector = await read_body(request, BoardSelector)
    database = parts_of(request).database
    await database.write(_put, name, selector)
    return json_answer(await database.read(_read_view, name))


async def remove(request: Request) -> Response:
    """Remove a group that no series and no continuous job needs."""
    name = request.path_params["group"]
    await parts_of(request).database.write(_remove, name)
    return json_answer({"group": name})


def _put(connection: Connection, name: str, selector: BoardSelector) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"group: found {name!r}, expected up to 63 of a-z, 0-9, '-' and '_', a letter or digit first",
            code="group.name",
        )
    if selector.groups or selector.except_.groups:
        raise ConfigError(
            f"groups: found {(selector.groups + selector.except_.groups)[0]!r} in a group, expected ids, labels or "
            "all: groups hold no groups",
            code="group.nested",
        )
    check_selector(read_boards(connection), selector, {}, "group")
    store.write_group(connection, name, selector)


def _remove(connection: Connection, name: str) -> None:
    _find(connection, name)
    for job in rollouts.read_held_back(connection, ("scheduled", *jobs.OPEN_STATES)):
        wanted = job.placement.boards
        if wanted is not None and name in (*wanted.groups, *wanted.except_.groups):
            raise UnsupportedError(
                f"the group {name!r} is needed by {job.job}: cancel that first", code="group.in-use"
            )
    store.remove_group(connection, name)


def _find(connection: Connection, name: str) -> BoardSelector:
    known = store.read_groups(connection)
    if name not in known:
        raise NotFoundError(f"found no group {name!r}{nearest(name, known)}", code="group.unknown")
    return known[name]


def _read_views(connection: Connection) -> list[dict[str, Any]]:
    boards = read_boards(connection)
    return [
        {
            "group": name,
            "selector": selector,
            "boards": [board.board for board in choose(boards, selector, {}).chosen],
        }
        for name, selector in store.read_groups(connection).items()
    ]


def _read_view(connection: Connection, name: str) -> dict[str, Any]:
    _find(connection, name)
    return next(view for view in _read_views(connection) if view["group"] == name)
