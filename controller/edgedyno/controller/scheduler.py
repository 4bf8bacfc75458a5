"""Moves jobs on: builds, doorbells, timeouts, scores. All state is in the store; this only acts on it.

Every replica publishes what it changed itself; builds, timeouts and scores are the leader's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from edgedyno.controller import evaluation, lifecycle, submission
from edgedyno.controller.leadership import Leadership
from edgedyno.controller.rollout import steps
from edgedyno.controller.rollout.conductor import Conductor
from edgedyno.controller.store import boards, executions, jobs, rollouts
from edgedyno.controller.wakeup import wait_for_wakeup
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.manifest import Failure, ResolvedJob

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.laboratory import Laboratory
    from edgedyno.controller.presence import Presence
    from edgedyno.controller.store.database import Database
    from edgedyno.controller.store.executions import Execution
    from edgedyno.core.job import Timeouts

log = logging.getLogger(__name__)
TICK_SECONDS = 1.0
# A broker that lost its retained messages without a disconnect is made good within this time.
RING_AGAIN_SECONDS = 60.0
HEARD_SAVE_SECONDS = 10.0
# While late results keep coming, an execution is scored again no more often than this.
SCORE_AGAIN_SECONDS = 5.0

Ring = Callable[[Iterable[str]], None]


class Scheduler:
    """Runs as one task; the calls that change jobs come from the API."""

    def __init__(
        self,
        database: Database,
        laboratory: Laboratory,
        clock: FleetClock,
        presence: Presence,
        ring: Ring,
        *,
        needs_reduce_range: submission.ReduceRange,
        wanted_formats: submission.WantedFormats,
        leadership: Leadership | None = None,
        cancel_seconds: float = lifecycle.CANCEL_SECONDS,
    ) -> None:
        self._database = database
        self._laboratory = laboratory
        self._clock = clock
        self._presence = presence
        self._ring = ring
        self._needs_reduce_range = needs_reduce_range
        self._wanted_formats = wanted_formats
        self._leadership = leadership or Leadership(database.engine)
        self._conductor = Conductor(
            database,
            laboratory,
            clock,
            presence,
            ring,
            needs_reduce_range=needs_reduce_range,
            wanted_formats=wanted_formats,
        )
        self._wake = asyncio.Event()
        self._builds: dict[str, asyncio.Task[None]] = {}
        self._scoring: asyncio.Task[None] | None = None
        self._score_again_at: dict[str, float] = {}
        self._timeouts: dict[str, Timeouts] = {}
        self._cancel_seconds = cancel_seconds
        self._rung_at = 0.0
        self._looked_at = 0.0
        self._heard_saved_at = 0.0
        self.leads = False
        self.builds = 0
        """Builds done by this process since it started."""
        self.build_seconds = 0.0

    @property
    def busy(self) -> bool:
        """Tell whether builds or scores are under way."""
        scores = self._scoring is not None and not self._scoring.done()
        return bool(self._builds) or scores or self._conductor.busy

    def wake(self) -> None:
        """Have the scheduler look now."""
        self._wake.set()

    async def run(self) -> None:
        """Tick until cancelled."""
        try:
            while True:
                await self._tick_safely()
                await wait_for_wakeup(self._wake, TICK_SECONDS)
        finally:
            await self.close()

    async def _tick_safely(self) -> None:
        self._wake.clear()
        try:
            await self.tick()
        except DBAPIError:
            log.exception("the database failed; tried again at the next tick")

    async def close(self) -> None:
        """End builds and scoring, which begin anew elsewhere, and give up the lead."""
        tasks = [*self._builds.values(), *([self._scoring] if self._scoring else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._conductor.close()
        self._leadership.release()

    async def submit(self, resolved: ResolvedJob, has: Callable[[str], bool]) -> tuple[str, list[str]]:
        """Queue a job; raises EdgedynoError when a file is missing or no board matches."""
        await asyncio.to_thread(submission.check_files, resolved, has)
        job, chosen = await self._database.write(
            submission.submit,
            resolved,
            needs_reduce_range=self._needs_reduce_range,
            now_seconds=self._clock.now(),
            utc=self._clock.utc(),
        )
        log.info("job submitted", extra={"job": job, "boards": len(chosen)})
        self.wake()
        return job, chosen

    async def cancel(self, job: str) -> None:
        """Cancel a job, or a series with its runs."""
        touched = await self._database.write(steps.cancel, job, self._clock.now())
        if job in self._builds:
            self._builds[job].cancel()
        log.info("job canceled", extra={"job": job})
        self._ring(touched)
        self.wake()

    async def pause(self, job: str) -> None:
        """Let nothing more of a job or series start."""
        await self._database.write(steps.pause, job)
        log.info("job paused", extra={"job": job})
        self.wake()

    async def resume(self, job: str) -> None:
        """Let a paused job or series go on."""
        touched = await self._database.write(
            steps.resume, job, now_seconds=self._clock.now(), utc=self._clock.utc()
        )
        log.info("job resumed", extra={"job": job, "boards": len(touched)})
        self._ring(touched)
        self.wake()

    async def retry(self, job: str) -> None:
        """Try again what failed or timed out."""
        touched = await self._database.write(lifecycle.retry, job, self._clock.now())
        log.info("job tried again", extra={"job": job, "boards": len(touched)})
        self._ring(touched)
        self.wake()

    async def tick(self) -> None:
        """Look once at everything that time or others may have changed."""
        self.leads = await asyncio.to_thread(self._leadership.check)
        if not self.leads:
            await self._database.read(self._clock.load)
            return
        await self._save_heard()
        await self._conductor.tick()
        live = await self._database.read(executions.live)
        self._ring_those_whose_time_has_come(live)
        if live:
            await self._expire(live)
        await self._build_open()
        await self._score_ended()
        await self._settle()
        if self._clock.should_save and (live or self._builds):
            await self._database.write(self._clock.save)
        if live and self._clock.now() - self._rung_at >= RING_AGAIN_SECONDS:
            self._rung_at = self._clock.now()
            self._ring(execution.board for execution in live)

    async def _save_heard(self) -> None:
        if self._clock.now() - self._heard_saved_at < HEARD_SAVE_SECONDS:
            return
        self._heard_saved_at = self._clock.now()
        unsaved = self._presence.take_unsaved()
        if unsaved:
            await self._database.write(boards.note_heard, unsaved)

    def _ring_those_whose_time_has_come(self, live: list[Execution]) -> None:
        before, self._looked_at = self._looked_at, self._clock.now()
        self._ring(
            execution.board
            for execution in live
            if execution.state == "QUEUED"
            and before < (execution.not_before_seconds or 0.0) <= self._looked_at
        )

    async def _expire(self, live: list[Execution]) -> None:
        under_way = {execution.job for execution in live}
        self._timeouts = {job: known for job, known in self._timeouts.items() if job in under_way}
        for job in under_way - self._timeouts.keys():
            resolved = await self._database.read(jobs.read_resolved, job)
            self._timeouts[job] = resolved.spec.timeouts
        heard = await self._database.read(boards.read_heard)
        for board, at_seconds in self._presence.heard().items():
            heard[board] = max(heard.get(board, 0.0), at_seconds)
        now_seconds = self._clock.now()
        held = await self._database.read(rollouts.held_back)
        changes = lifecycle.due(
            [execution for execution in live if execution.execution not in held],
            timeouts=self._timeouts,
            heard=heard,
            now_seconds=now_seconds,
            cancel_seconds=self._cancel_seconds,
        )
        if not changes:
            return
        changed = await self._database.write(lifecycle.apply, changes, now_seconds)
        for execution in changed:
            log.warning("execution timed out or stalled", extra={"execution": execution.execution})
        self._ring(execution.board for execution in changed)

    async def _build_open(self) -> None:
        for job in await self._database.read(jobs.read_jobs, states=("building",)):
            if job.job not in self._builds:
                task = asyncio.create_task(self._build(job.job), name=f"build {job.job}")
                self._builds[job.job] = task

    async def _build(self, job: str) -> None:
        try:
            await self._build_all(job)
        except EdgedynoError as error:
            failure = Failure(error.code, str(error))
            log.warning("build failed", extra={"job": job, "code": error.code})
            await self._database.write(lifecycle.fail_build, job, failure, self._clock.now())
        except DBAPIError:
            log.exception("the database failed during a build; built again at the next tick")
        except Exception as error:
            log.exception("a build ended unexpectedly")
            failure = Failure("build.failed", f"{type(error).__name__}: {error}")
            await self._database.write(lifecycle.fail_build, job, failure, self._clock.now())
        finally:
            self._builds.pop(job, None)
            self.wake()

    async def _build_all(self, job: str) -> None:
        resolved = await self._database.read(jobs.read_resolved, job)
        for build in await self._database.read(jobs.read_builds, job):
            if build.variants is not None:
                continue
            formats = await self._database.read(
                submission.formats_of,
                resolved,
                job,
                reduce_range=build.reduce_range,
                wanted_formats=self._wanted_formats,
            )
            started = time.monotonic()
            variants = await self._laboratory.build(
                resolved,
                list(resolved.spec.sweep.precisions),
                reduce_range=build.reduce_range,
                formats=formats,
            )
            seconds = time.monotonic() - started
            self.builds += 1
            self.build_seconds += seconds
            await self._database.write(
                jobs.finish_build, job, reduce_range=build.reduce_range, variants=variants, seconds=seconds
            )
            log.info("variants built", extra={"job": job, "variants": len(variants), "seconds": seconds})
        if await self._database.write(lifecycle.activate, job):
            self._ring(e.board for e in await self._database.read(executions.of_jobs, [job]))

    async def _score_ended(self) -> None:
        if self._scoring is not None and not self._scoring.done():
            return
        now_seconds = self._clock.now()
        waiting = [
            execution
            for execution in await self._database.read(executions.unscored)
            if now_seconds >= self._score_again_at.get(execution.execution, 0.0)
        ]
        if waiting:
            later = now_seconds + SCORE_AGAIN_SECONDS
            self._score_again_at = {
                **{name: at for name, at in self._score_again_at.items() if at > now_seconds},
                **{execution.execution: later for execution in waiting},
            }
            self._scoring = asyncio.create_task(self._score(waiting), name="scoring")

    async def _score(self, waiting: list[Execution]) -> None:
        for execution in waiting:
            try:
                await evaluation.score_execution(self._database, self._laboratory, execution)
                await self._conclude(execution.job)
            except Exception:
                log.exception("scoring ended unexpectedly", extra={"execution": execution.execution})
        self.wake()

    async def _conclude(self, job: str) -> None:
        """End a job that is complete, with its verdicts made, so that metrics can show them.

        A continuous job does not end; it has verdicts whenever nothing of it is under way.
        """
        if await self._database.write(lifecycle.settle_job, job):
            log.info("job ended", extra={"job": job})
        elif not await self._database.read(rollouts.rests, job):
            return
        try:
            await evaluation.verdicts_of(self._database, self._laboratory, job)
        except EdgedynoError as error:
            log.warning("no verdict", extra={"job": job, "code": error.code, "cause": str(error)})

    async def _settle(self) -> None:
        for job in await self._database.read(_complete_jobs):
            await self._conclude(job)


def _complete_jobs(connection: Connection) -> list[str]:
    """Return open jobs whose executions have all ended and been scored."""
    going_on = {job.job for job in rollouts.read_held_back(connection, jobs.OPEN_STATES) if job.goes_on}
    open_jobs = [
        job.job
        for job in jobs.read_jobs(connection, states=jobs.OPEN_STATES)
        if job.cancel_requested or job.job not in going_on
    ]
    busy = executions.busy_among(connection, open_jobs)
    return [job for job in open_jobs if job not in busy]
