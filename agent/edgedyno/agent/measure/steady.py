"""The steady samples of a trial as arrays, read once for each look: a look asks for them several times.

Not responsible for what is estimated from them for the result record.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.statistics import STOPPED_ALPHA, Interval, flatten, median_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.core.result import Burst

_REMEMBERED = 64  # trials; more than are loaded at a time


class Steady:
    """What counts of the first `len(bursts)` bursts of a trial."""

    def __init__(self, bursts: list[Burst], *, count_void: bool) -> None:
        self.last = bursts[-1] if bursts else None
        self.length = len(bursts)
        kept = [
            burst
            for burst in bursts
            if (burst.valid or count_void) and len(burst.latency_seconds) > burst.after_switch
        ]
        self.blocks: NDArray[np.intp] = np.fromiter((burst.block for burst in kept), np.intp, len(kept))
        self.groups = flatten([burst.latency_seconds[burst.after_switch :] for burst in kept])
        self.seconds = kept[-1].started_monotonic_seconds - kept[0].started_monotonic_seconds if kept else 0.0

    @cached_property
    def medians(self) -> NDArray[np.float64]:
        """The median of each burst."""
        return self.groups.medians()

    @cached_property
    def interval(self) -> Interval | None:
        """The median of all with the interval at which measuring may stop."""
        return median_interval(self.groups, alpha=STOPPED_ALPHA)


_cache: OrderedDict[tuple[int, bool], tuple[TrialLog, Steady]] = OrderedDict()


def steady_of(log: TrialLog, *, count_void: bool) -> Steady:
    """Return the steady samples of `log`; read anew when bursts were added or its last ones were flagged."""
    key = (id(log), count_void)
    known = _cache.get(key)
    last = log.bursts[-1] if log.bursts else None
    if known and known[0] is log and known[1].length == len(log.bursts) and known[1].last is last:
        return known[1]
    steady = Steady(log.bursts, count_void=count_void)
    _cache[key] = (log, steady)
    while len(_cache) > _REMEMBERED:
        _cache.popitem(last=False)
    return steady
