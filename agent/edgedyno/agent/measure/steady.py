"""The steady samples of a trial as arrays, read once for each look: a look asks for them several times.

Not responsible for what is estimated from them for the result record.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.statistics import STOPPED_ALPHA, Interval, flatten, load_half_width, median_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.core.result import Burst

_REMEMBERED = 64  # trials; more than are loaded at a time


class Steady:
    """What counts of a trial's bursts; `before` is what was read of the first of them at an earlier look."""

    def __init__(self, bursts: list[Burst], *, count_void: bool, before: Steady | None = None) -> None:
        self.last = bursts[-1] if bursts else None
        self.length = len(bursts)
        kept = [
            burst
            for burst in (bursts[before.length :] if before else bursts)
            if (burst.valid or count_void) and len(burst.latency_seconds) > burst.after_switch
        ]
        self.blocks: NDArray[np.intp] = np.fromiter((burst.block for burst in kept), np.intp, len(kept))
        self.starts: NDArray[np.float64] = np.array([burst.started_monotonic_seconds for burst in kept])
        self.processes: set[int] = {burst.load for burst in kept}
        self.groups = flatten([burst.latency_seconds[burst.after_switch :] for burst in kept])
        if before:
            self.processes |= before.processes
            self.blocks = np.concatenate([before.blocks, self.blocks])
            self.starts = np.concatenate([before.starts, self.starts])
            self.groups = before.groups.followed_by(self.groups)

    def follows(self, bursts: list[Burst]) -> bool:
        """Return whether `bursts` begin with those that were read here."""
        return 0 < self.length <= len(bursts) and bursts[self.length - 1] is self.last

    @property
    def loads(self) -> int:
        """How many processes the samples come from."""
        return len(self.processes)

    @property
    def seconds(self) -> float:
        """From the first burst to the last."""
        return float(self.starts[-1] - self.starts[0]) if len(self.starts) else 0.0

    @cached_property
    def medians(self) -> NDArray[np.float64]:
        """The median of each burst."""
        return self.groups.medians()

    @cached_property
    def interval(self) -> Interval | None:
        """The median of all with the interval at which measuring may stop."""
        interval = median_interval(self.groups, alpha=STOPPED_ALPHA)
        return interval.widened(load_half_width(STOPPED_ALPHA, self.loads)) if interval else None


_cache: OrderedDict[tuple[int, bool], tuple[TrialLog, Steady]] = OrderedDict()


def steady_of(log: TrialLog, *, count_void: bool) -> Steady:
    """Return the steady samples of `log`: only bursts that came since the last look are read.

    A race flags the bursts of a round before it looks, so those that were read do not change; if the last one
    was replaced all the same, everything is read again.
    """
    key = (id(log), count_void)
    known = _cache.get(key)
    before = known[1] if known and known[0] is log and known[1].follows(log.bursts) else None
    if before and before.length == len(log.bursts):
        return before
    steady = Steady(log.bursts, count_void=count_void, before=before)
    _cache[key] = (log, steady)
    while len(_cache) > _REMEMBERED:
        _cache.popitem(last=False)
    return steady
