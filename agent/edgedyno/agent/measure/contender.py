"""One trial on its way through a race: its worker, its log, and how long its bursts are."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.measure.supervisor import TrialError, Worker
from edgedyno.core.result import Burst
from edgedyno.core.statistics import is_warm

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Launch

# The first inference after a switch pays for cold caches: 0.1 to 0.3 ms, whatever the model (docs/method.md).
# Of a model this slow that is about 1 %, and the difference between two such models far less: single
# inferences, all of which count, tell a ratio three times as fast as dropping every other one.
SINGLE_SECONDS = 0.02
# Quicker models pay 2 to 5 %: their bursts are longer, and the first inference of each does not count.
BURST_SECONDS = 0.01
BURST_MOST = 24
# Every so many blocks single inferences come in pairs, which tells what a switch costs.
PAIR_EVERY = 8
WARMUP_BLOCK_SECONDS = 0.06
WARMUP_FLOOR_SECONDS = 0.2
WARMUP_CEILING_SECONDS = 5.0
# Kernel threads and the interpreter's own wake-ups take far less; one spinning thread takes 1.
SPINNING_BOUND = 0.1


class Shape(NamedTuple):
    """How many inferences a burst has, and how many of the first do not count."""

    length: int
    after_switch: int

    def in_block(self, block: int) -> int:
        """Return the length in this block: now and then a single inference is followed by another."""
        return 2 if self.length == 1 and block % PAIR_EVERY == PAIR_EVERY - 1 else self.length


class Contender:
    """A trial with its worker; raises nothing: what fails is written in its log."""

    def __init__(self, cell: Cell, log: TrialLog) -> None:
        self.cell = cell
        self.log = log
        self.worker: Worker | None = None
        self.median_seconds = 0.0
        self.shape = Shape(1, 0)
        self._cpus: list[int] = []
        self._launched: tuple[Launch, Path] | None = None
        self._loads = max((burst.load for burst in log.bursts), default=0)
        self.slower_looks = 0
        """How many looks in a row showed it beaten on every objective."""

    @property
    def alive(self) -> bool:
        """Whether its worker can run bursts."""
        return self.worker is not None

    @property
    def burst_seconds(self) -> float:
        """How long its next burst should take."""
        return self.shape.length * self.median_seconds

    def load(self, launch: Launch, tensor: Path) -> None:
        """Start its worker and run the first inference."""
        self._launched = (launch, tensor)
        self._loads += 1
        self._cpus = []
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

    def reload(self) -> None:
        """Start again in a fresh process, whose memory lies elsewhere."""
        if self.worker is None or self._launched is None:
            return
        self.close()
        self.load(*self._launched)
        self.warm_up()
        if self.worker is not None and (self.log.waiting_cpu_ratio or 0.0) > SPINNING_BOUND:
            self.worker.park()

    def _note_start(self) -> None:
        if self.log.started_at is None:
            self.log.started_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self.log.monotonic_seconds = time.monotonic()

    def warm_up(self) -> None:
        """Run blocks until they agree; then see that every thread keeps to its cores."""
        if self.worker is None:
            return
        try:
            self.log.warmup_seconds = self.log.warmup_seconds + self._warm_blocks(self.worker)
            self._note_check(self.worker)
        except TrialError as error:
            self._fail(error)
        self.shape = burst_shape(self.median_seconds)

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

    def park_if_spinning(self) -> None:
        """Run once after a pause: a runtime whose threads kept a core busy meanwhile is halted from now on."""
        if self.worker is None:
            return
        try:
            answer = self.worker.burst(1, self.median_seconds)
            busy = answer.waiting_cpu_seconds / max(answer.waited_seconds, 1e-9)
            self.log.waiting_cpu_ratio = busy
            if busy > SPINNING_BOUND:
                self.worker.park()
        except TrialError as error:
            self._fail(error)

    def move(self, cpus: list[int]) -> None:
        """Go to these CPUs of the core set."""
        if self.worker is None or cpus == self._cpus:
            return
        self._cpus = cpus
        try:
            self.worker.place(cpus)
        except TrialError as error:
            self._fail(error)

    def burst(self, block: int) -> None:
        """Run one burst and keep its samples."""
        if self.worker is None:
            return
        count = self.shape.in_block(block)
        try:
            answer = self.worker.burst(count, count * self.median_seconds)
        except TrialError as error:
            self._fail(error)
            return
        self.log.bursts.append(
            Burst(
                block,
                answer.started_monotonic_seconds,
                answer.latency_seconds,
                after_switch=self.shape.after_switch,
                load=self._loads,
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


def burst_shape(median_seconds: float) -> Shape:
    """Return how long the bursts of a trial are, by how long one inference takes."""
    if median_seconds >= SINGLE_SECONDS:
        return Shape(1, 0)
    steady = max(1, min(BURST_MOST, round(BURST_SECONDS / max(median_seconds, 1e-6))))
    return Shape(1 + steady, 1)
