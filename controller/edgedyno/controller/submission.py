"""Take a job in: check its files, find its boards, queue it. One transaction, nothing published."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.store import executions, jobs
from edgedyno.controller.store.boards import Board, read_boards
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.document import nearest
from edgedyno.core.errors import UnsupportedError
from edgedyno.core.manifest import ResolvedJob

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.core.job import BoardSelector

ReduceRange = Callable[[list[str]], bool]
WantedFormats = Callable[[ResolvedJob, list[RuntimeInfo]], list[str]]
_SHOWN = 3


def needed_files(resolved: ResolvedJob) -> list[str]:
    """Return the sha256 of every file that the job names, each once."""
    names = [resolved.source.sha256, *(image.file.sha256 for image in resolved.images)]
    names += [each.file.sha256 for each in resolved.known]
    names += [file.sha256 for file in resolved.calibration]
    names += [variant.file.sha256 for variant in resolved.prebuilt if variant.file]
    if resolved.annotations is not None:
        names.append(resolved.annotations.sha256)
    return list(dict.fromkeys(names))


def check_files(resolved: ResolvedJob, has: Callable[[str], bool]) -> None:
    """Raise UnsupportedError when a file of the job was not uploaded."""
    missing = [sha256 for sha256 in needed_files(resolved) if not has(sha256)]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise UnsupportedError(
            f"missing artifacts: {', '.join(missing[:_SHOWN])}{more}; upload them before the job",
            code="artifact.missing",
        )


def select_boards(boards: list[Board], wanted: BoardSelector) -> list[Board]:
    """Return the boards that are named, or carry all the labels, or every one; drained ones get no job.

    Raises UnsupportedError when a named board is unknown or drained, or when none matches.
    """
    by_name = {board.board: board for board in boards}
    for name in wanted.ids:
        if name not in by_name:
            raise UnsupportedError(
                f"boards.ids: found no board {name!r}{nearest(name, by_name)}", code="board.unknown"
            )
        if by_name[name].drained:
            raise UnsupportedError(f"boards.ids: the board {name!r} is drained", code="board.drained")
    chosen = [board for board in boards if not board.drained and _matches(board, wanted)]
    if not chosen:
        known = ", ".join(sorted(by_name)[:10]) or "none"
        raise UnsupportedError(
            f"boards: none matches {msgspec.json.encode(wanted).decode()}; boards known: {known}",
            code="board.none",
        )
    return chosen


def _matches(board: Board, wanted: BoardSelector) -> bool:
    by_labels = bool(wanted.labels) and wanted.labels.items() <= board.labels.items()
    return wanted.all or board.board in wanted.ids or by_labels


def submit(
    connection: Connection, resolved: ResolvedJob, *, needs_reduce_range: ReduceRange, now_seconds: float
) -> tuple[str, list[str]]:
    """Queue a job on its boards and return its id and theirs."""
    chosen = select_boards(read_boards(connection), resolved.spec.boards)
    job = f"{resolved.spec.name}-{secrets.token_hex(3)}"
    reduce = {
        board.board: needs_reduce_range(board.capabilities.cpu.features if board.capabilities else [])
        for board in chosen
    }
    jobs.insert_job(connection, job, resolved, reduce_ranges=set(reduce.values()))
    for board, reduce_range in reduce.items():
        executions.insert_execution(
            connection, job=job, board=board, reduce_range=reduce_range, now_seconds=now_seconds
        )
    return job, list(reduce)


def formats_of(
    connection: Connection,
    resolved: ResolvedJob,
    job: str,
    *,
    reduce_range: bool,
    wanted_formats: WantedFormats,
) -> list[str]:
    """Return the formats that one build of a job has to give: what the runtimes of its boards want."""
    names = {
        execution.board
        for execution in executions.of_jobs(connection, [job])
        if execution.reduce_range == reduce_range
    }
    runtimes = [
        info
        for board in read_boards(connection)
        if board.board in names and board.capabilities
        for info in board.capabilities.runtimes
    ]
    return wanted_formats(resolved, runtimes)
