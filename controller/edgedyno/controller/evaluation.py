"""Scores of ended executions, and verdicts and reports of jobs: asked of the lab, kept in the store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from edgedyno.controller.laboratory import Context
from edgedyno.controller.lifecycle import find_job
from edgedyno.controller.store import boards, executions, jobs, results
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.laboratory import Laboratory
    from edgedyno.controller.store.database import Database
    from edgedyno.controller.store.executions import Execution
    from edgedyno.controller.store.results import StoredResult

ENGLISH = "en"
log = logging.getLogger(__name__)


class Evidence(Struct, frozen=True):
    """A job's counted results at one moment; `key` changes whenever they do."""

    key: str
    resolved: ResolvedJob
    results: list[Result]


async def score_execution(database: Database, laboratory: Laboratory, execution: Execution) -> None:
    """Score an ended execution and store what came of it; a failure is stored and not tried again."""
    resolved = await database.read(jobs.read_resolved, execution.job)
    stored = await database.read(results.read_results, execution=execution.execution)
    scored: list[Result] = []
    failure: str | None = None
    if stored:
        try:
            scored = await laboratory.score([one.record for one in stored], resolved)
        except EdgedynoError as error:
            failure = f"{error.code}: {error}"
            log.warning("scoring failed", extra={"execution": execution.execution, "cause": failure})
    await database.write(_store_scores, execution, stored, scored, failure)


def _store_scores(
    connection: Connection,
    execution: Execution,
    stored: list[StoredResult],
    scored: list[Result],
    failure: str | None,
) -> None:
    ids = {one.record.trial: one.id for one in stored}
    results.store_scores(connection, [(ids[one.trial], one) for one in scored if one.trial in ids])
    now_known = executions.read_execution(connection, execution.execution, lock=True)
    if now_known is None:
        return
    # Results that came while the lab worked will have it work again.
    complete = now_known.results_count == execution.results_count and now_known.ended
    executions.change(
        connection,
        execution.execution,
        scored=complete,
        scoring_round=now_known.scoring_round + 1,
        scoring_failure=failure,
    )


async def verdicts_of(
    database: Database, laboratory: Laboratory, job: str, *, language: str = ENGLISH
) -> bytes:
    """Return a job's verdicts and groups as a JSON object; those in English are kept until its results change."""
    kept, kept_key = await database.read(_kept_verdicts, job)
    evidence = await database.read(read_evidence, job)
    if language == ENGLISH and kept is not None and kept_key == evidence.key:
        return kept.encode()
    context = await database.read(_read_context, job, language)
    made = await laboratory.judge(evidence.results, evidence.resolved.spec, context)
    if language == ENGLISH:
        await database.write(jobs.store_verdicts, job, made.decode(), evidence.key)
    return made


async def report_of(
    database: Database, laboratory: Laboratory, job: str, *, language: str = ENGLISH, images: bool = True
) -> str:
    """Return a job's report as one HTML page, with images of the data set or without."""
    evidence = await database.read(read_evidence, job)
    context = await database.read(_read_context, job, language)
    return await laboratory.report(evidence.results, evidence.resolved, context, images=images)


def _kept_verdicts(connection: Connection, job: str) -> tuple[str | None, str | None]:
    find_job(connection, job)
    return jobs.read_verdicts(connection, job)


def _read_context(connection: Connection, job: str, language: str) -> Context:
    """Return the boards' types, and the verdicts of the last job of the same name before this one."""
    types = {
        board.board: board.capabilities.profile
        for board in boards.read_boards(connection, removed=True)
        if board.capabilities is not None and board.capabilities.profile
    }
    earlier = jobs.read_earlier_verdicts(connection, job)
    verdicts = _told.decode(earlier).verdicts if earlier is not None else Raw(b"[]")
    return Context(language=language, earlier=verdicts, types=types)


class _Told(Struct, frozen=True):
    verdicts: Raw


_told = msgspec.json.Decoder(_Told)


def read_evidence(connection: Connection, job: str) -> Evidence:
    """Return what the lab needs to judge a job. Raises NotFoundError."""
    find_job(connection, job)
    return Evidence(
        key=jobs.verdicts_key(connection, job),
        resolved=jobs.read_resolved(connection, job),
        results=[one.record for one in results.read_results(connection, job=job)],
    )
