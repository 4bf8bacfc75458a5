"""Boards that come to a continuous job later: which they are, what has to be built for them, their executions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller import submission
from edgedyno.controller.rollout.targets import choose
from edgedyno.controller.rollout.waves import wave_of_newcomer
from edgedyno.controller.store import executions, jobs, rollouts
from edgedyno.controller.store.boards import Board, read_boards
from edgedyno.controller.store.groups import read_groups
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.targets import BoardSelector

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.laboratory import Laboratory
    from edgedyno.controller.store.database import Database
    from edgedyno.core.manifest import ResolvedJob, Variant

log = logging.getLogger(__name__)


class Arrival(Struct, frozen=True):
    """Boards that a continuous job has not been given to, of one kind of CPU, and what they want built."""

    job: str
    boards: list[Board]
    reduce_range: bool
    formats: list[str]
    built: bool
    """Whether everything that they want is there."""


def arrivals(
    connection: Connection,
    *,
    needs_reduce_range: submission.ReduceRange,
    wanted_formats: submission.WantedFormats,
) -> list[Arrival]:
    """Return who has come. A board counts once its capabilities are known: they say what to build."""
    found: list[Arrival] = []
    going_on = [job for job in rollouts.read_held_back(connection, ("active",)) if job.goes_on]
    if not going_on:
        return []
    boards = [board for board in read_boards(connection) if board.capabilities is not None]
    groups = read_groups(connection)
    for job in going_on:
        there = {execution.board for execution in executions.of_jobs(connection, [job.job])}
        chosen = choose(boards, job.placement.boards or BoardSelector(), groups).chosen
        new = [board for board in chosen if board.board not in there]
        if not new:
            continue
        resolved = jobs.read_resolved(connection, job.job)
        for reduce_range in (False, True):
            kind = [b for b in new if submission.reduces(b, needs_reduce_range) == reduce_range]
            if kind:
                found.append(_arrival(connection, job.job, resolved, kind, reduce_range, wanted_formats))
    return found


def _arrival(
    connection: Connection,
    job: str,
    resolved: ResolvedJob,
    boards: list[Board],
    reduce_range: bool,  # noqa: FBT001 - named by its callers' loop
    wanted_formats: submission.WantedFormats,
) -> Arrival:
    runtimes = [info for board in boards if board.capabilities for info in board.capabilities.runtimes]
    wanted = wanted_formats(resolved, runtimes)
    builds = {build.reduce_range: build.variants for build in jobs.read_builds(connection, job)}
    there = list(dict.fromkeys(variant.format for variant in builds.get(reduce_range) or []))
    return Arrival(
        job,
        boards,
        reduce_range,
        list(dict.fromkeys([*there, *wanted])),
        built=reduce_range in builds and set(wanted) <= set(there),
    )


async def admit(database: Database, laboratory: Laboratory, arrival: Arrival, now_seconds: float) -> bool:
    """Build what is missing and queue the job on the new boards; False when the build failed."""
    if not arrival.built:
        resolved = await database.read(jobs.read_resolved, arrival.job)
        try:
            variants = await laboratory.build(
                resolved,
                list(resolved.spec.sweep.precisions),
                reduce_range=arrival.reduce_range,
                formats=arrival.formats,
            )
        except EdgedynoError as error:
            log.warning("no build for new boards", extra={"job": arrival.job, "cause": str(error)})
            return False
        await database.write(_keep_build, arrival, variants)
    await database.write(_queue, arrival, now_seconds)
    log.info("boards came to a job", extra={"job": arrival.job, "boards": len(arrival.boards)})
    return True


def _keep_build(connection: Connection, arrival: Arrival, variants: list[Variant]) -> None:
    jobs.add_build(connection, arrival.job, reduce_range=arrival.reduce_range)
    jobs.finish_build(
        connection, arrival.job, reduce_range=arrival.reduce_range, variants=variants, seconds=0.0
    )


def _queue(connection: Connection, arrival: Arrival, now_seconds: float) -> None:
    """Queue the job on the boards, unless it ended or another put them there in between."""
    job = rollouts.read_rolled(connection, arrival.job, lock=True)
    if job is None or job.state != "active":
        return
    there = {execution.board for execution in executions.of_jobs(connection, [arrival.job])}
    for board in arrival.boards:
        if board.board not in there:
            wave = wave_of_newcomer(_sizes(connection, arrival.job), job.placement.rollout)
            executions.insert_execution(
                connection,
                job=arrival.job,
                board=board.board,
                reduce_range=arrival.reduce_range,
                now_seconds=now_seconds,
                wave=wave,
            )


def _sizes(connection: Connection, job: str) -> list[int]:
    return [wave.size for wave in rollouts.read_waves(connection, job)]
