"""Take a job in: check its files, find its boards, queue it. One transaction, nothing published."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgedyno.controller.rollout.check import check_spec
from edgedyno.controller.rollout.cron import next_after
from edgedyno.controller.rollout.holds import in_utc
from edgedyno.controller.rollout.targets import check_groups, choose, choose_some
from edgedyno.controller.rollout.waves import divide
from edgedyno.controller.store import executions, jobs
from edgedyno.controller.store.boards import read_boards
from edgedyno.controller.store.groups import read_groups
from edgedyno.core.board import RuntimeInfo
from edgedyno.core.errors import UnsupportedError
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.rollout import Cron

if TYPE_CHECKING:
    import datetime as dt

    from sqlalchemy import Connection

    from edgedyno.controller.store.boards import Board
    from edgedyno.core.job import JobSpec

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


def submit(
    connection: Connection,
    resolved: ResolvedJob,
    *,
    needs_reduce_range: ReduceRange,
    now_seconds: float,
    utc: dt.datetime,
) -> tuple[str, list[str]]:
    """Queue a job on its boards, or begin its series; return its id and the boards that it goes to, as they are now.

    Raises ConfigError or UnsupportedError when its boards, waves or times cannot be meant.
    """
    check_spec(resolved.spec)
    if not isinstance(resolved.spec.schedule, Cron):
        return submit_run(
            connection, resolved, needs_reduce_range=needs_reduce_range, now_seconds=now_seconds
        )
    waves = plan_waves(connection, resolved.spec)
    job = _new_id(resolved)
    next_at = in_utc(next_after(resolved.spec.schedule, utc))
    jobs.insert_job(connection, job, resolved, reduce_ranges=set(), state="scheduled", next_at_utc=next_at)
    return job, [board for wave in waves for board in wave]


def submit_run(
    connection: Connection,
    resolved: ResolvedJob,
    *,
    needs_reduce_range: ReduceRange,
    now_seconds: float,
    series: str | None = None,
) -> tuple[str, list[str]]:
    """Queue a job on its boards, whatever its schedule; return its id and its boards."""
    waves = plan_waves(connection, resolved.spec)
    boards = {board.board: board for board in read_boards(connection)}
    reduce = {name: reduces(boards[name], needs_reduce_range) for wave in waves for name in wave}
    job = _new_id(resolved)
    jobs.insert_job(connection, job, resolved, reduce_ranges=set(reduce.values()), series=series)
    for number, wave in enumerate(waves):
        for name in wave:
            executions.insert_execution(
                connection,
                job=job,
                board=name,
                reduce_range=reduce[name],
                now_seconds=now_seconds,
                wave=number,
            )
    return job, list(reduce)


def plan_waves(connection: Connection, spec: JobSpec) -> list[list[str]]:
    """Return the boards of a job by wave, as they would be now; a continuous job may have none yet."""
    boards, groups = read_boards(connection), read_groups(connection)
    if spec.schedule == "continuous":
        check_groups(spec.boards, groups)
        chosen = choose(boards, spec.boards, groups).chosen
        return divide(chosen, spec.rollout, groups) if chosen else [[]]
    return divide(choose_some(boards, spec.boards, groups).chosen, spec.rollout, groups)


def reduces(board: Board, needs_reduce_range: ReduceRange) -> bool:
    """Tell whether a board's CPU needs INT8 of reduced range."""
    return needs_reduce_range(board.capabilities.cpu.features if board.capabilities else [])


def _new_id(resolved: ResolvedJob) -> str:
    return f"{resolved.spec.name}-{secrets.token_hex(3)}"


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
