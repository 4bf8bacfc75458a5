"""Queries over the jobs and their builds."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update

from edgedyno.controller.rollout.placement import encode_placement, placement_of
from edgedyno.controller.store.boards import utc_now
from edgedyno.controller.store.dialect import insert_new
from edgedyno.controller.store.results import results_key
from edgedyno.controller.store.tables import builds, jobs
from edgedyno.core.job import Retry
from edgedyno.core.manifest import Failure, ResolvedJob, Variant

JobState = Literal["scheduled", "building", "active", "succeeded", "failed", "canceled"]
"""`scheduled` is a series, whose runs are jobs of their own."""
VERDICTS_FORM = "2"
"""Of the stored verdicts: what an older version stored is made anew."""
OPEN_STATES = ("building", "active")
_resolved = msgspec.json.Decoder(ResolvedJob)
_variants = msgspec.json.Decoder(list[Variant])
_failure = msgspec.json.Decoder(Failure)
_retry = msgspec.json.Decoder(Retry)


class Job(Struct, frozen=True):
    """A job without its specification, which can be large."""

    job: str
    name: str
    state: JobState
    created_utc: str
    failure: Failure | None
    cancel_requested: bool
    priority: int = 0
    retry: Retry = Retry()


class Build(Struct, frozen=True):
    """The variants of a job for CPUs that do, or do not, need reduced range; None: not built yet."""

    reduce_range: bool
    variants: list[Variant] | None
    seconds: float | None


_COLUMNS = (
    jobs.c.job,
    jobs.c.name,
    jobs.c.state,
    jobs.c.created_utc,
    jobs.c.failure,
    jobs.c.cancel_requested,
    jobs.c.priority,
    jobs.c.retry,
)


def insert_job(
    connection: Connection,
    job: str,
    resolved: ResolvedJob,
    *,
    reduce_ranges: set[bool],
    state: JobState = "building",
    series: str | None = None,
    next_at_utc: str | None = None,
) -> None:
    """Add a job to be built, with one pending build for each kind of CPU among its boards, or a series."""
    connection.execute(
        insert(jobs).values(
            job=job,
            name=resolved.spec.name,
            state=state,
            created_utc=utc_now(),
            resolved=msgspec.json.encode(resolved).decode(),
            cancel_requested=False,
            priority=resolved.spec.priority,
            retry=msgspec.json.encode(resolved.spec.retry).decode(),
            placement=encode_placement(placement_of(resolved.spec)),
            series=series,
            next_at_utc=next_at_utc,
        )
    )
    for reduce_range in sorted(reduce_ranges):
        connection.execute(insert(builds).values(job=job, reduce_range=reduce_range))


def read_job(connection: Connection, job: str, *, lock: bool = False) -> Job | None:
    """Return one job."""
    query: Select[tuple[object, ...]] = select(*_COLUMNS).where(jobs.c.job == job)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return _job(row) if row else None


def read_jobs(connection: Connection, *, states: tuple[str, ...] = (), limit: int = 1000) -> list[Job]:
    """Return the newest jobs first, all or those in `states`."""
    query: Select[tuple[object, ...]] = select(*_COLUMNS).order_by(jobs.c.position.desc()).limit(limit)
    if states:
        query = query.where(jobs.c.state.in_(states))
    return [_job(row) for row in connection.execute(query)]


# A fleet asks for the same job a thousand times: what was decoded last is kept, under the text it came from.
_decode_resolved = lru_cache(maxsize=2)(_resolved.decode)
_decode_variants = lru_cache(maxsize=4)(_variants.decode)
_resolved_of = select(jobs.c.resolved).where(jobs.c.job == bindparam("b_job"))
_builds_of = select(builds).where(builds.c.job == bindparam("b_job")).order_by(builds.c.reduce_range)


def read_resolved(connection: Connection, job: str) -> ResolvedJob:
    """Return what was submitted; callers share it and must not change it."""
    return _decode_resolved(connection.execute(_resolved_of, {"b_job": job}).scalar_one())


def read_job_names(connection: Connection) -> list[str]:
    """Return the ids of the newest jobs, for suggestions."""
    query = select(jobs.c.job).order_by(jobs.c.position.desc()).limit(1000)
    return list(connection.execute(query).scalars())


def set_job(
    connection: Connection,
    job: str,
    *,
    state: JobState,
    failure: Failure | None = None,
    cancel_requested: bool = False,
) -> None:
    """Move a job to another state."""
    connection.execute(
        update(jobs)
        .where(jobs.c.job == job)
        .values(
            state=state,
            failure=msgspec.json.encode(failure).decode() if failure else None,
            cancel_requested=cancel_requested,
        )
    )


def read_builds(connection: Connection, job: str) -> list[Build]:
    """Return a job's builds; callers share the variants and must not change them."""
    return [
        Build(
            reduce_range=row.reduce_range,
            variants=_decode_variants(row.variants) if row.variants else None,
            seconds=row.seconds,
        )
        for row in connection.execute(_builds_of, {"b_job": job})
    ]


def finish_build(
    connection: Connection, job: str, *, reduce_range: bool, variants: list[Variant], seconds: float
) -> None:
    """Store what a build gave."""
    connection.execute(
        update(builds)
        .where(builds.c.job == job, builds.c.reduce_range == reduce_range)
        .values(variants=msgspec.json.encode(variants).decode(), seconds=seconds)
    )


def add_build(connection: Connection, job: str, *, reduce_range: bool) -> None:
    """Add a pending build unless it is there."""
    connection.execute(insert_new(connection, builds).values(job=job, reduce_range=reduce_range))


def forget_builds(connection: Connection, job: str, *, reduce_ranges: set[bool]) -> None:
    """Make the builds pending again."""
    connection.execute(delete(builds).where(builds.c.job == job))
    for reduce_range in sorted(reduce_ranges):
        connection.execute(insert(builds).values(job=job, reduce_range=reduce_range))


def read_verdicts(connection: Connection, job: str) -> tuple[str | None, str | None]:
    """Return the stored verdicts as JSON and the key of the results that they were made from."""
    query = select(jobs.c.verdicts, jobs.c.verdicts_key).where(jobs.c.job == job)
    row = connection.execute(query).one()
    return row.verdicts, row.verdicts_key


def verdicts_key(connection: Connection, job: str) -> str:
    """Return a text that changes whenever a job's verdicts have to be made anew: with its results, and their form."""
    return f"{VERDICTS_FORM}:{results_key(connection, job)}"


def read_earlier_verdicts(connection: Connection, job: str) -> str | None:
    """Return the stored verdicts of the last job of the same name before this one; None where there are none."""
    this = select(jobs.c.position, jobs.c.name).where(jobs.c.job == job).subquery()
    query = (
        select(jobs.c.verdicts)
        .where(
            jobs.c.name == this.c.name,
            jobs.c.position < this.c.position,
            jobs.c.verdicts_key.startswith(f"{VERDICTS_FORM}:"),
        )
        .order_by(jobs.c.position.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def store_verdicts(connection: Connection, job: str, verdicts: str, key: str) -> None:
    """Keep the verdicts until the results change."""
    connection.execute(update(jobs).where(jobs.c.job == job).values(verdicts=verdicts, verdicts_key=key))


def _job(row: Row[tuple[object, ...]]) -> Job:
    return Job(
        job=row.job,
        name=row.name,
        state=row.state,
        created_utc=row.created_utc,
        failure=_failure.decode(row.failure) if row.failure else None,
        cancel_requested=row.cancel_requested,
        priority=row.priority,
        retry=_retry.decode(row.retry),
    )
