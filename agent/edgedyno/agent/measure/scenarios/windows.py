"""Windows of some seconds, one trial after the other, in random order within each block.

What drifts slowly hits the windows of a block alike, so ratios between trials are surer than their medians.
Not responsible for what runs in a window.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol

from edgedyno.agent.measure.race import mark
from edgedyno.agent.measure.scenarios.base import excused, next_block
from edgedyno.agent.measure.supervisor import TrialError
from edgedyno.core.statistics import MIN_BLOCKS, paired_ratio

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.scenarios.base import Setting
    from edgedyno.core.result import Burst

WINDOW_LEAST_SECONDS = 1.0  # /proc/stat counts in ticks of 10 ms, so shorter windows see nothing
# Longer ones dilute what a governor still remembers of the trial before; a cancelled job waits for the end.
WINDOW_MOST_SECONDS = 2.0
WINDOWS_WANTED = 20  # of each trial; an interval needs 8
WINDOW_INFERENCES = 6


class Subject(Protocol):
    """A loaded trial that windows are measured on."""

    @property
    def log(self) -> TrialLog:
        """What was measured of it."""

    @property
    def pids(self) -> list[int]:
        """Its workers."""

    @property
    def inference_seconds(self) -> float:
        """About how long one inference takes."""

    @property
    def excuses(self) -> tuple[str, ...]:
        """How reasons begin that do not make its windows void."""

    def window(self, block: int, seconds: float) -> Burst:
        """Measure one window; raises TrialError."""

    def fail(self, error: TrialError) -> None:
        """Write down why it cannot go on, and end its workers."""

    def values(self, burst: Burst) -> list[float]:
        """Return the seconds of one window that trials are compared by."""

    def precision(self) -> float:
        """Return the relative half-width of the interval of what is measured; infinite when it is unknown."""


def alternate(
    subjects: Sequence[Subject],
    setting: Setting,
    *,
    seconds: float,
    stop: threading.Event,
    tell: Callable[[float], None],
) -> None:
    """Measure windows until every trial is known to the job's precision, time is up, or `stop` is set.

    Every trial gets one window, however short the time; `tell` gets the seconds left after each.
    """
    began = time.monotonic()
    rounds = {id(subject): _length(subject, seconds, len(subjects)) for subject in subjects}
    first = block = next_block([subject.log for subject in subjects])
    while not stop.is_set() and (active := _unfinished(subjects)):
        turn = _alive(subjects)
        setting.order.shuffle(turn)
        for subject in turn:
            left = seconds - (time.monotonic() - began)
            if stop.is_set() or (left <= 0 and block > first):
                break
            _measure(subject, subjects, block, rounds[id(subject)], setting)
            tell(left)
        block += 1
        _settle(active, setting.precision)
        if time.monotonic() - began >= seconds:
            break
    if not stop.is_set():
        for subject in subjects:
            subject.log.finished = True


def _length(subject: Subject, seconds: float, trials: int) -> float:
    """Return a window's seconds: so many that each trial gets enough windows, within bounds."""
    share = seconds / trials / WINDOWS_WANTED
    length = max(WINDOW_LEAST_SECONDS, min(WINDOW_MOST_SECONDS, share))
    return max(length, WINDOW_INFERENCES * subject.inference_seconds)


def _alive(subjects: Sequence[Subject]) -> list[Subject]:
    return [subject for subject in subjects if subject.pids]


def _unfinished(subjects: Sequence[Subject]) -> list[Subject]:
    return [subject for subject in _alive(subjects) if not subject.log.finished]


def _measure(
    subject: Subject, subjects: Sequence[Subject], block: int, seconds: float, setting: Setting
) -> None:
    pids = [pid for each in subjects for pid in each.pids]
    since = len(subject.log.bursts)
    setting.watch.start(pids)
    try:
        subject.log.bursts.append(subject.window(block, seconds))
    except TrialError as error:
        subject.fail(error)
    mark(subject.log, since, excused(setting.watch.stop(pids), subject.excuses))


def _settle(active: Sequence[Subject], precision: float) -> None:
    """Finish the trials once all are known well enough: until then they run on, so that blocks are common."""
    alive = _alive(active)
    if not alive:
        return
    leader = min(alive, key=lambda subject: subject.inference_seconds)
    known = [max(subject.precision(), _ratio_precision(subject, leader)) for subject in alive]
    if max(known) <= precision:
        for subject in alive:
            subject.log.settled = subject.log.finished = True


def _ratio_precision(subject: Subject, leader: Subject) -> float:
    if subject is leader:
        return 0.0
    ours, theirs = _by_block(subject), _by_block(leader)
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < MIN_BLOCKS:
        return math.inf
    return paired_ratio([ours[block] for block in common], [theirs[block] for block in common]).half_width


def _by_block(subject: Subject) -> Mapping[int, list[float]]:
    values = {burst.block: subject.values(burst) for burst in subject.log.bursts if burst.valid}
    return {block: seconds for block, seconds in values.items() if seconds}
