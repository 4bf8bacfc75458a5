"""What it costs to come after another trial: the first inference of a burst against those that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.result import Bounded
from edgedyno.core.statistics.median import median_interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.core.result import Burst


def after_switch_cost(bursts: Iterable[Burst]) -> Bounded | None:
    """Return the median of first minus following, in seconds; None where no burst is longer than one inference.

    It is negative where chance outweighs the cost. The interval is None below MIN_GROUPS bursts.
    """
    costs = [
        burst.latency_seconds[0] - float(np.median(burst.latency_seconds[1:]))
        for burst in bursts
        if burst.valid and len(burst.latency_seconds) > 1
    ]
    if not costs:
        return None
    interval = median_interval([[cost] for cost in costs])
    if interval is None:
        return Bounded(float(np.median(costs)))
    return Bounded(interval.value, interval.low, interval.high)
