"""Comparisons of boards of one type by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.api.parts import json_answer, parts_of
from edgedyno.controller.lab.siblings import Comparison, compare_boards
from edgedyno.controller.lifecycle import find_job
from edgedyno.controller.store import boards, executions, results
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

NEWEST_EXECUTIONS = 1000


async def compare(request: Request) -> Response:
    """Compare boards of one type: on one job's trials, or on the newest results of each trial."""
    unknown = request.query_params.keys() - {"job"}
    if unknown:
        raise ConfigError(f"found {min(unknown)!r}, expected job", code="request.invalid")
    job = request.query_params.get("job")
    return json_answer(await parts_of(request).database.read(_compare, job))


def _compare(connection: Connection, job: str | None) -> Comparison:
    known = {
        board.board: board.capabilities for board in boards.read_boards(connection) if board.capabilities
    }
    if job is not None:
        find_job(connection, job)
        found = results.read_results(connection, job=job)
    else:
        newest = [each for each in executions.newest(connection, NEWEST_EXECUTIONS) if each.results_count]
        found = [one for each in newest for one in results.read_results(connection, execution=each.execution)]
    return compare_boards([one.record for one in found], known)
