"""Throughput: several streams of one variant at once, as many trials at a time as memory holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgedyno.agent.measure.scenarios.base import fail, teller
from edgedyno.agent.measure.scenarios.streams import Streams
from edgedyno.agent.measure.scenarios.windows import alternate
from edgedyno.agent.measure.supervisor import TrialError
from edgedyno.core.manifest import Failure

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.race import Pace
    from edgedyno.agent.measure.scenarios.base import Setting
    from edgedyno.core.job import Scenario


def run_throughput(
    scenario: Scenario,
    group: Sequence[Contender],
    setting: Setting,
    *,
    stop: threading.Event,
    between: Callable[[Pace], None],
) -> None:
    """Measure windows of every trial, as many trials at a time as memory holds the streams of."""
    if scenario.throughput is None:
        raise ValueError("run_throughput needs the scenario throughput")
    count = scenario.throughput.streams
    waiting = [contender for contender in group if contender.alive and not contender.log.finished]
    for contender in group:
        contender.close()  # it told what one stream takes; streams start anew, on CPUs of their own
    batches = list(_batches(waiting, count, setting.memory_bytes))
    deadline = time.monotonic() + setting.seconds
    for index, batch in enumerate(batches):
        if stop.is_set():
            return
        sets = [Streams(contender, count, setting) for contender in batch]
        try:
            for streams in sets:
                streams.load()
            share = (deadline - time.monotonic()) * len(batch) / sum(map(len, batches[index:]))
            alternate(sets, setting, seconds=share, stop=stop, tell=teller(group, between))
        finally:
            for streams in sets:
                streams.close()


def _batches(waiting: Sequence[Contender], count: int, memory_bytes: float) -> Iterator[list[Contender]]:
    """Give the trials that fit into memory together; one that does not fit alone fails with the numbers."""
    batch: list[Contender] = []
    used = 0
    for contender in waiting:
        needed = _needed_bytes(contender.log, count)
        if needed > memory_bytes:
            text = (
                f"{count} streams of {needed / count / 1e6:.0f} MB each need {needed / 1e6:.0f} MB, "
                f"expected at most {memory_bytes / 1e6:.0f} MB for all workers together"
            )
            fail(contender, TrialError(Failure("memory.streams", text)))
            continue
        if batch and used + needed > memory_bytes:
            yield batch
            batch, used = [], 0
        batch.append(contender)
        used += needed
    if batch:
        yield batch


def _needed_bytes(log: TrialLog, count: int) -> int:
    """Return what all streams take; the log of a run that goes on holds their sum already."""
    return (log.peak_rss_bytes or 0) * (1 if "streams" in log.notes else count)
