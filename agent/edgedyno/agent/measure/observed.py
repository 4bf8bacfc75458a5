"""What a trial's log tells the search: its cost beside the reference trial's, and the time it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.measure.race import is_hopeless
from edgedyno.agent.measure.search import Observed
from edgedyno.agent.measure.stopping import groups_of, ratio_of
from edgedyno.core.statistics import median_interval

if TYPE_CHECKING:
    from edgedyno.agent.measure.journal import TrialLog


def observe(log: TrialLog, reference: TrialLog, *, precision: float) -> Observed:
    """Return what is known of a trial that was raced.

    Races of different minutes are compared through the reference trial, which all of them hold; where the
    common blocks are too few, through its median.
    """
    before = (log.load_seconds or 0.0) + sum(log.warmup_seconds)
    measuring = sum(sum(burst.latency_seconds) for burst in log.bursts)
    cost, half_width = _cost(log, reference)
    needed = before + measuring * max(1.0, (half_width / precision) ** 2)
    return Observed(cost, before + measuring, needed)


def _cost(log: TrialLog, reference: TrialLog) -> tuple[float | None, float]:
    """Return a trial's latency over the reference's, and the relative half-width of its own median."""
    if log.failure is not None:
        return None, 1.0
    seconds, half_width = _median(log)
    if log.trial == reference.trial:
        return 1.0, half_width
    ratio = ratio_of(log, reference, count_void=is_hopeless(log))
    if ratio is not None:
        return ratio.value, half_width
    beside, _ = _median(reference)
    return (seconds / beside if seconds and beside else None), half_width


def _median(log: TrialLog) -> tuple[float, float]:
    """Return the median of a log and its relative half-width: 1 where bursts are too few to tell, or none."""
    groups = groups_of(log, count_void=is_hopeless(log))
    interval = median_interval(groups)
    if interval is not None:
        return interval.value, interval.relative_half_width
    seconds = sorted(each for group in groups for each in group) or sorted(log.warmup_seconds)
    return (seconds[len(seconds) // 2] if seconds else 0.0), 1.0
