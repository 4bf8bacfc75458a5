"""Moves rollouts, series and continuous jobs on: the leader's part. All state is in the store; this only acts on it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from edgedyno.controller.rollout import newcomers, series, steps
from edgedyno.controller.rollout.gate import cpus_of
from edgedyno.controller.rollout.holds import hold_of_board
from edgedyno.controller.rollout.moment import moment_of
from edgedyno.controller.store import executions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from edgedyno.controller import submission
    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.laboratory import Laboratory
    from edgedyno.controller.presence import Presence
    from edgedyno.controller.rollout.decision import Wave
    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.controller.store.database import Database

log = logging.getLogger(__name__)
BUILD_AGAIN_SECONDS = 60.0
# Looking for new boards reads all of them with their capabilities.
LOOK_AGAIN_SECONDS = 5.0


class Conductor:
    """What it remembers only saves doorbells: a new leader rings once more."""

    def __init__(
        self,
        database: Database,
        laboratory: Laboratory,
        clock: FleetClock,
        presence: Presence,
        ring: Callable[[Iterable[str]], None],
        *,
        needs_reduce_range: submission.ReduceRange,
        wanted_formats: submission.WantedFormats,
    ) -> None:
        self._database = database
        self._laboratory = laboratory
        self._clock = clock
        self._presence = presence
        self._ring = ring
        self._needs_reduce_range = needs_reduce_range
        self._wanted_formats = wanted_formats
        self._seen: dict[str, list[Wave]] = {}
        self._idle: set[tuple[str, str]] = set()
        self._admission: asyncio.Task[None] | None = None
        self._admit_again_at = 0.0

    @property
    def busy(self) -> bool:
        """Tell whether it builds for new boards."""
        return self._admission is not None and not self._admission.done()

    async def tick(self) -> None:
        """Look once at everything that time, boards or operators may have changed."""
        moment = moment_of(self._clock, self._presence)
        await self._run_series(moment)
        await self._move_rollouts(moment)
        await self._look_for_newcomers()

    async def close(self) -> None:
        """Give up what is being built; it begins anew elsewhere."""
        if self._admission is not None:
            self._admission.cancel()
            await asyncio.gather(self._admission, return_exceptions=True)

    async def _run_series(self, moment: Moment) -> None:
        for name in await self._database.read(series.due_series, moment.utc):
            run = await self._database.write(
                series.run_if_due,
                name,
                needs_reduce_range=self._needs_reduce_range,
                now_seconds=self._clock.now(),
                utc=moment.utc,
            )
            log.info("a series was due", extra={"series": name, "job": run})

    async def _move_rollouts(self, moment: Moment) -> None:
        surveys = await self._database.read(steps.survey, moment)
        for found in surveys:
            name = found.job.job
            if found.moved:
                rung = await self._database.write(steps.advance, name, moment, self._clock.now())
                log.info(
                    "rollout moved",
                    extra={"job": name, "status": found.decision.standing.status, "boards": len(rung)},
                )
                self._ring(rung)
            elif self._seen.get(name) != found.waves and found.hold is None and found.decision.slots:
                self._ring(await self._database.read(steps.waiting_boards, name, found.decision))
            self._seen[name] = found.waves
        self._seen = {found.job.job: self._seen[found.job.job] for found in surveys}
        await self._ring_idle([found for found in surveys if found.job.placement.only_when_idle], moment)

    async def _ring_idle(self, surveys: list[steps.Survey], moment: Moment) -> None:
        """Ring boards that have become idle, for the jobs that wait for that."""
        idle: set[tuple[str, str]] = set()
        for found in surveys:
            if found.hold is None:
                idle |= await self._database.read(_idle_boards, found, moment)
        self._ring(board for _, board in idle - self._idle)
        self._idle = idle

    async def _look_for_newcomers(self) -> None:
        if self.busy or self._clock.now() < self._admit_again_at:
            return
        self._admit_again_at = self._clock.now() + LOOK_AGAIN_SECONDS
        found = await self._database.read(
            newcomers.arrivals,
            needs_reduce_range=self._needs_reduce_range,
            wanted_formats=self._wanted_formats,
        )
        if found:
            self._admission = asyncio.create_task(self._admit(found), name="new boards")

    async def _admit(self, found: list[newcomers.Arrival]) -> None:
        try:
            for arrival in found:
                if await newcomers.admit(self._database, self._laboratory, arrival, self._clock.now()):
                    self._ring(board.board for board in arrival.boards)
                else:
                    self._admit_again_at = self._clock.now() + BUILD_AGAIN_SECONDS
        except Exception:
            log.exception("new boards could not be given their job")
            self._admit_again_at = self._clock.now() + BUILD_AGAIN_SECONDS


def _idle_boards(connection: Connection, found: steps.Survey, moment: Moment) -> set[tuple[str, str]]:
    """Return (job, board) of what waits on an idle board."""
    job = found.job
    return {
        (job.job, execution.board)
        for execution in executions.of_jobs(connection, [job.job])
        if execution.state == "QUEUED"
        and found.decision.allows(execution.wave)
        and hold_of_board(job.placement, execution.board, cpus_of(connection, job, execution.board), moment)
        is None
    }
