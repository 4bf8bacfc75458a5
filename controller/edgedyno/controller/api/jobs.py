"""Jobs and results by HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import HTMLResponse, Response

from edgedyno.controller import evaluation
from edgedyno.controller.api.parts import choice, json_answer, parts_of, read_body
from edgedyno.controller.lab.language import LANGUAGES
from edgedyno.controller.lifecycle import find_job
from edgedyno.controller.rollout.moment import moment_of
from edgedyno.controller.rollout.plan import plan as make_plan
from edgedyno.controller.rollout.view import view
from edgedyno.controller.store import executions, results, rollouts
from edgedyno.controller.store import jobs as store
from edgedyno.core.errors import ConfigError
from edgedyno.core.job import JobSpec
from edgedyno.core.manifest import ResolvedJob, Variant

if TYPE_CHECKING:
    from collections import Counter

    from sqlalchemy import Connection
    from starlette.requests import Request

    from edgedyno.controller.api.parts import Parts
    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.controller.rollout.view import RolloutView
    from edgedyno.controller.store.executions import Execution
    from edgedyno.controller.store.jobs import Job

_ROLLOUTS = 1000
FILTERS = ("job", "board", "execution")


async def submit(request: Request) -> Response:
    """Take a job in."""
    resolved = await read_body(request, ResolvedJob)
    parts = parts_of(request)
    job, boards = await parts.scheduler.submit(resolved, parts.store.has)
    return json_answer({"job": job, "boards": boards}, status=201)


async def list_all(request: Request) -> Response:
    """List the newest jobs, without their specifications."""
    parts = parts_of(request)
    found = await parts.database.read(read_summaries, parts.clock.now())
    rolled = await parts.database.read(_read_rollouts, moment_of(parts.clock, parts.presence))
    return json_answer({"jobs": [{**job, "rollout": rolled.get(job["job"])} for job in found]})


async def plan(request: Request) -> Response:
    """Tell where a job would go, without taking it in."""
    spec = await read_body(request, JobSpec)
    parts = parts_of(request)
    return json_answer(await parts.database.read(make_plan, spec, moment_of(parts.clock, parts.presence)))


async def show(request: Request) -> Response:
    """Show one job."""
    return await _show(parts_of(request), request.path_params["job"])


async def _show(parts: Parts, job: str) -> Response:
    moment = moment_of(parts.clock, parts.presence)
    return json_answer(await parts.database.read(_read_job, job, parts.clock.now(), moment))


async def cancel(request: Request) -> Response:
    """Cancel a job."""
    parts, job = parts_of(request), request.path_params["job"]
    await parts.scheduler.cancel(job)
    return await _show(parts, job)


async def pause(request: Request) -> Response:
    """Let nothing more of a job or series start."""
    parts, job = parts_of(request), request.path_params["job"]
    await parts.scheduler.pause(job)
    return await _show(parts, job)


async def resume(request: Request) -> Response:
    """Let a paused job or series go on."""
    parts, job = parts_of(request), request.path_params["job"]
    await parts.scheduler.resume(job)
    return await _show(parts, job)


async def retry(request: Request) -> Response:
    """Try again what failed or timed out."""
    parts, job = parts_of(request), request.path_params["job"]
    await parts.scheduler.retry(job)
    return await _show(parts, job)


async def verdict(request: Request) -> Response:
    """Show a job's verdicts, and those over several boards."""
    parts = parts_of(request)
    made = await evaluation.verdicts_of(
        parts.database,
        parts.laboratory,
        request.path_params["job"],
        language=choice(request, "language", LANGUAGES),
    )
    return json_answer(msgspec.Raw(made))


async def report(request: Request) -> Response:
    """Show a job's report, in the language that is asked for, with the data set's images unless `images=no`."""
    parts = parts_of(request)
    page = await evaluation.report_of(
        parts.database,
        parts.laboratory,
        request.path_params["job"],
        language=choice(request, "language", LANGUAGES),
        images=choice(request, "images", ("yes", "no")) == "yes",
    )
    return HTMLResponse(page)


async def list_results(request: Request) -> Response:
    """List counted results, scored where they have been."""
    unknown = request.query_params.keys() - set(FILTERS)
    if unknown:
        raise ConfigError(
            f"found {min(unknown)!r}, expected one of {', '.join(FILTERS)}", code="request.invalid"
        )
    wanted = {name: request.query_params.get(name) for name in FILTERS}
    texts = await parts_of(request).database.read(results.read_raw_results, **wanted)
    return json_answer({"results": [msgspec.Raw(text.encode()) for text in texts]})


async def list_flagged(request: Request) -> Response:
    """List a job's results that came late, again, or before a newer attempt's."""
    job = request.query_params.get("job")
    if job is None:
        raise ConfigError("found no `job`, expected one", code="request.invalid")
    found = await parts_of(request).database.read(results.read_flagged, job)
    return json_answer(
        {
            "results": [
                {"flag": flag, "counted": counted, "record": msgspec.Raw(text.encode())}
                for flag, counted, text in found
            ]
        }
    )


def read_summaries(connection: Connection, now_seconds: float) -> list[dict[str, Any]]:
    """Return the newest jobs with their executions."""
    found = store.read_jobs(connection)
    by_job: dict[str, list[Execution]] = {job.job: [] for job in found}
    for execution in executions.of_jobs(connection, list(by_job)):
        by_job[execution.job].append(execution)
    late = executions.late_results(connection, [job.job for job in found])
    return [_summary(job, by_job[job.job], late, now_seconds) for job in found]


def _summary(job: Job, parts: list[Execution], late: Counter[str], now_seconds: float) -> dict[str, Any]:
    return {
        "job": job.job,
        "name": job.name,
        "state": job.state,
        "created_at": job.created_utc,
        "failure": job.failure,
        "priority": job.priority,
        "executions": [
            execution.view(job, late_results=late[execution.execution], now_seconds=now_seconds)
            for execution in parts
        ],
    }


def _read_rollouts(connection: Connection, moment: Moment) -> dict[str, RolloutView | None]:
    return {
        job.job: view(connection, job, moment, boards=False)
        for job in rollouts.read_newest(connection, _ROLLOUTS)
    }


def _read_job(connection: Connection, name: str, now_seconds: float, moment: Moment) -> dict[str, Any]:
    job = find_job(connection, name)
    rolled = rollouts.read_rolled(connection, name)
    variants: list[Variant] = []
    for build in store.read_builds(connection, name):
        variants += [one for one in build.variants or [] if one not in variants]
    return {
        **_summary(
            job,
            executions.of_jobs(connection, [name]),
            executions.late_results(connection, [name]),
            now_seconds,
        ),
        "rollout": view(connection, rolled, moment, boards=True) if rolled else None,
        "spec": store.read_resolved(connection, name).spec,
        "variants": variants,
    }
