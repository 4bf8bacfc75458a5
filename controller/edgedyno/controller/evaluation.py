"""Scores of ended executions, and verdicts and reports of jobs: asked of the lab, kept in the store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lifecycle import find_job
from edgedyno.controller.store import executions, jobs, results
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.result import Result

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.laboratory import Laboratory
    from edgedyno.controller.store.database import Database
    from edgedyno.controller.store.executions import Execution
    from edgedyno.controller.store.results import StoredResult

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


async def verdicts_of(database: Database, laboratory: Laboratory, job: str) -> bytes:
    """Return a job's verdicts as a JSON list, made anew only when its results changed."""
    kept, kept_key = await database.read(_kept_verdicts, job)
    evidence = await database.read(read_evidence, job)
    if kept is not None and kept_key == evidence.key:
        return kept.encode()
    made = await laboratory.judge(evidence.results, evidence.resolved.spec)
    await database.write(jobs.store_verdicts, job, made.decode(), evidence.key)
    return made


async def report_of(
    database: Database, laboratory: Laboratory, job: str, *, language: str, images: bool
) -> str:
    """Return a job's report as one HTML page."""
    evidence = await database.read(read_evidence, job)
    return await laboratory.report(evidence.results, evidence.resolved, language=language, images=images)


def _kept_verdicts(connection: Connection, job: str) -> tuple[str | None, str | None]:
    find_job(connection, job)
    return jobs.read_verdicts(connection, job)


def read_evidence(connection: Connection, job: str) -> Evidence:
    """Return what the lab needs to judge a job. Raises NotFoundError."""
    find_job(connection, job)
    return Evidence(
        key=results.results_key(connection, job),
        resolved=jobs.read_resolved(connection, job),
        results=[one.record for one in results.read_results(connection, job=job)],
    )
