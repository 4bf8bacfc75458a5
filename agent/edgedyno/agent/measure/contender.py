"""One trial on its way through a race: its worker, its log, and how long its bursts are."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from edgedyno.agent.measure.supervisor import TrialError, Worker
from edgedyno.core.result import Burst
from edgedyno.core.statistics import is_warm

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Launch

AFTER_SWITCH = 1  # the first inference after a switch pays for cold caches (docs/method.md)
# Ratios get tighter the finer bursts interleave: the machine's speed wanders within a few tenths of a second.
# Six trials of a 25 ms model in 30 s gave ratios to within +-3 to 7 % with 3 steady inferences a burst, +-2 to
# 4 % with one, though half of the inferences then follow a switch and do not count (docs/method.md).
BURST_SECONDS = 0.01
BURST_LEAST = 1
BURST_MOST = 24
SLOW_SECONDS = 0.2  # a model this slow gets single inferences: 30 blocks of 3 would take too long
WARMUP_BLOCK_SECONDS = 0.06
WARMUP_FLOOR_SECONDS = 0.2
WARMUP_CEILING_SECONDS = 5.0


class Contender:
    """A trial with its worker; raises nothing: what fails is written in its log."""

    def __init__(self, cell: Cell, log: TrialLog) -> None:
        self.cell = cell
        self.log = log
        self.worker: Worker | None = None
        self.median_seconds = 0.0
        self.burst_count = 1
        self.slower_looks = 0
        """How many looks in a row showed it beaten on every objective."""

    @property
    def alive(self) -> bool:
        """Whether its worker can run bursts."""
        return self.worker is not None

    @property
    def burst_seconds(self) -> float:
        """How long its next burst should take."""
        return self.burst_count * self.median_seconds

    def load(self, launch: Launch, tensor: Path) -> None:
        """Start its worker and run the first inference."""
        try:
            self.worker = Worker(self.cell, launch)
            self.log.load_seconds = self.log.load_seconds or self.worker.load_seconds
            self.worker.bind(tensor)
            self._note_start()
            first = self.worker.first_inference()
            self.log.first_inference_seconds = self.log.first_inference_seconds or first
            self.median_seconds = first
        except TrialError as error:
            self._fail(error)

    def _note_start(self) -> None:
        if self.log.started_at is None:
            self.log.started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self.log.monotonic_seconds = time.monotonic()

    def warm_up(self) -> None:
        """Run blocks until they agree; then see that every thread keeps to its cores."""
        if self.worker is None:
            return
        try:
            self.log.warmup_seconds = self._warm_blocks(self.worker)
            self._note_check(self.worker)
        except TrialError as error:
            self._fail(error)
        self.burst_count = AFTER_SWITCH + burst_length(self.median_seconds)

    def _warm_blocks(self, worker: Worker) -> list[float]:
        blocks: list[list[float]] = []
        gone = 0.0
        while gone < WARMUP_CEILING_SECONDS and not (is_warm(blocks) and gone >= WARMUP_FLOOR_SECONDS):
            count = max(1, min(100, round(WARMUP_BLOCK_SECONDS / max(self.median_seconds, 1e-6))))
            answer = worker.burst(count, count * self.median_seconds)
            blocks.append(answer.latency_seconds)
            gone += sum(answer.latency_seconds)
            self.median_seconds = sorted(answer.latency_seconds)[count // 2]
        return [seconds for block in blocks for seconds in block]

    def _note_check(self, worker: Worker) -> None:
        found = worker.check()
        self.log.peak_rss_bytes = max(found.peak_rss_bytes, self.log.peak_rss_bytes or 0)
        self.log.strayed = found.strayed or self.log.strayed
        self.log.placing = found.found

    def burst(self, block: int) -> None:
        """Run one burst and keep its samples."""
        if self.worker is None:
            return
        try:
            answer = self.worker.burst(self.burst_count, self.burst_seconds)
        except TrialError as error:
            self._fail(error)
            return
        self.log.bursts.append(
            Burst(
                block,
                answer.started_monotonic_seconds,
                answer.latency_seconds,
                after_switch=AFTER_SWITCH,
                cpu_seconds=answer.cpu_seconds,
                run_delay_seconds=answer.run_delay_seconds,
            )
        )

    def _fail(self, error: TrialError) -> None:
        self.log.failure = error.failure
        self.log.finished = True
        self.close()

    def close(self) -> None:
        """End its worker, after reading its peak of memory."""
        worker, self.worker = self.worker, None
        if worker is None:
            return
        try:
            if self.log.failure is None:
                self._note_check(worker)
        except TrialError:
            pass  # it died after its last burst: all that it measured is here
        worker.close()


def burst_length(median_seconds: float) -> int:
    """Return how many steady inferences one burst holds."""
    if median_seconds >= SLOW_SECONDS:
        return 1
    return max(BURST_LEAST, min(BURST_MOST, round(BURST_SECONDS / max(median_seconds, 1e-6))))
