"""The streams of one trial: workers that start together, and what they have in common.

Inferences are counted over the time in which every stream ran. The core set is shared out in slices where the
threads of all streams fit into it, else all streams share it, and the result says which.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec import structs

from edgedyno.agent.measure.contender import SPINNING_BOUND
from edgedyno.agent.measure.scenarios.base import fail
from edgedyno.agent.measure.scenarios.outcome import rate_of
from edgedyno.agent.measure.supervisor import TrialError, Worker
from edgedyno.core.manifest import Failure
from edgedyno.core.result import Burst
from edgedyno.core.statistics import is_warm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.scenarios.base import Setting
    from edgedyno.agent.measure.supervisor import StreamAnswer

# Until every worker has read its command: a line through a pipe and a wake-up each, far below this.
HEAD_START_SECONDS = 0.02
HEAD_START_SECONDS_EACH = 0.002
WARMUP_SECONDS = 0.3
WARMUP_WINDOWS_MOST = 10
# How the validity rules begin what they say about threads that could run and had to wait.
WAITING = ("tasks waited for a CPU", "the worker's threads waited")


def slices(cpus: Sequence[int], streams: int, threads: int) -> list[list[int]] | None:
    """Return neighbouring CPUs for each stream, equally many; None where their threads do not fit."""
    each = len(cpus) // streams
    if each < max(1, threads):
        return None
    ordered = sorted(cpus)
    return [ordered[index * each : (index + 1) * each] for index in range(streams)]


class Streams:
    """The workers of one trial."""

    def __init__(self, contender: Contender, count: int, setting: Setting) -> None:
        self._contender = contender
        self._setting = setting
        self._count = count
        self._workers: list[Worker] = []
        self._shares = False

    @property
    def log(self) -> TrialLog:
        """What was measured of it."""
        return self._contender.log

    @property
    def pids(self) -> list[int]:
        """Its workers."""
        return [worker.pid for worker in self._workers]

    @property
    def inference_seconds(self) -> float:
        """About how long one inference takes while all streams run."""
        return self._contender.median_seconds

    @property
    def excuses(self) -> tuple[str, ...]:
        """Streams that share CPUs wait for each other: that is what is measured."""
        return WAITING if self._shares else ()

    def load(self) -> None:
        """Start all workers and warm them up together; what fails is written in the log."""
        cell = self._contender.cell
        shared_out = slices(cell.cpus, self._count, cell.threads)
        self._shares = shared_out is None
        self._note_placing(shared_out)
        try:
            for index in range(self._count):
                cpus = shared_out[index] if shared_out else cell.cpus
                worker = Worker(structs.replace(cell, cpus=cpus), self._setting.launch)
                self._workers.append(worker)
                worker.bind(self._setting.tensor)
                worker.first_inference()
            self._warm_up()
            self._check()
            self._park_if_spinning()
        except TrialError as error:
            self.fail(error)

    def _note_placing(self, shared_out: list[list[int]] | None) -> None:
        cell = self._contender.cell
        if shared_out is None:
            text = f"all {self._count} streams of {cell.threads} threads share {len(cell.cpus)} CPUs"
        else:
            used, spare = self._count * len(shared_out[0]), len(cell.cpus)
            text = f"each stream has {len(shared_out[0])} CPUs of its own"
            text += f"; {spare - used} of {spare} CPUs are left over" if used < spare else ""
        self.log.notes["streams"] = self._count
        self.log.notes["stream_cpus"] = shared_out or [cell.cpus]
        self.log.notes["placing"] = text

    def _warm_up(self) -> None:
        blocks: list[list[float]] = []
        seconds = max(WARMUP_SECONDS, 2 * self.inference_seconds)
        while len(blocks) < WARMUP_WINDOWS_MOST and not is_warm(blocks):
            answers, _ = self._run(seconds)
            blocks.append([each for answer in answers for each in answer.latency_seconds])
            self._contender.median_seconds = sorted(blocks[-1])[len(blocks[-1]) // 2]
        self.log.warmup_seconds = [each for block in blocks for each in block]

    def _check(self) -> None:
        checks = [worker.check() for worker in self._workers]
        self.log.peak_rss_bytes = sum(check.peak_rss_bytes for check in checks)
        strayed = [check.strayed for check in checks if check.strayed]
        if strayed:
            self.log.strayed = f"{len(strayed)} of {self._count} streams: {strayed[0]}"

    def _park_if_spinning(self) -> None:
        """Halt the streams between windows where one of them was seen to spin: they would disturb the others."""
        if (self.log.waiting_cpu_ratio or 0.0) > SPINNING_BOUND:
            for worker in self._workers:
                worker.park()

    def _run(self, seconds: float) -> tuple[list[StreamAnswer], float]:
        """Run all streams from one moment on for `seconds`; return what they measured and the end."""
        start = time.monotonic() + HEAD_START_SECONDS + HEAD_START_SECONDS_EACH * self._count
        with ThreadPoolExecutor(self._count, thread_name_prefix="stream") as pool:
            asked = [pool.submit(worker.stream, start, seconds) for worker in self._workers]
        answers = [each.result() for each in asked]
        idle = sum(not answer.latency_seconds for answer in answers)
        if idle:
            text = f"{idle} of {self._count} streams did not get to infer within {seconds:.3g} s"
            raise TrialError(Failure("stream.late", text))
        return answers, start + seconds

    def window(self, block: int, seconds: float) -> Burst:
        """Run all streams for so long; raises TrialError."""
        answers, end = self._run(seconds)
        began = common_start(answers)
        if began >= end:
            text = f"the streams had no time in common: {end - began:.3g} s of a window of {seconds:.3g} s"
            raise TrialError(Failure("stream.late", text))
        firsts = [answer.latency_seconds[0] for answer in answers]
        return Burst(
            block,
            min(answer.started_monotonic_seconds[0] for answer in answers),
            [*firsts, *_in_order(answers)],
            after_switch=len(firsts),
            cpu_seconds=sum(answer.cpu_seconds for answer in answers),
            run_delay_seconds=sum(answer.run_delay_seconds for answer in answers),
            window_seconds=end - began,
            window_inferences=sum(_inferences_within(answer, began, end) for answer in answers),
        )

    def fail(self, error: TrialError) -> None:
        """Write down why it cannot go on, and end its workers."""
        self.close()
        fail(self._contender, error)

    def close(self) -> None:
        """End its workers."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.close()

    def values(self, burst: Burst) -> list[float]:
        """Return the seconds for each inference of all streams together."""
        if not burst.window_seconds or not burst.window_inferences:
            return []
        return [burst.window_seconds / burst.window_inferences]

    def precision(self) -> float:
        """Return the relative half-width of the rate's interval."""
        rate = rate_of([burst for burst in self.log.bursts if burst.valid])
        if rate is None or rate.low is None or rate.high is None:
            return math.inf
        return (rate.high - rate.low) / 2 / rate.value


def common_start(answers: Sequence[StreamAnswer]) -> float:
    """Return when every stream had its first inference, which pays for the switch, behind it."""
    return max(answer.started_monotonic_seconds[0] + answer.latency_seconds[0] for answer in answers)


def _in_order(answers: Sequence[StreamAnswer]) -> list[float]:
    """Return the latencies of all streams by the moment at which they began, without each one's first."""
    pairs = [
        pair
        for answer in answers
        for pair in list(zip(answer.started_monotonic_seconds, answer.latency_seconds, strict=True))[1:]
    ]
    return [latency for _, latency in sorted(pairs)]


def _inferences_within(answer: StreamAnswer, began: float, end: float) -> float:
    """Count a stream's inferences in a window: one that lies in it by half counts as half."""
    total = 0.0
    for start, latency in zip(answer.started_monotonic_seconds, answer.latency_seconds, strict=True):
        inside = min(end, start + latency) - max(began, start)
        total += max(0.0, inside) / latency if latency > 0 else 0.0
    return total
