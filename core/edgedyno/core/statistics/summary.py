"""Summaries of one trial's samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.result import LatencySummary
from edgedyno.core.statistics.loads import load_half_width
from edgedyno.core.statistics.looks import STOPPED_ALPHA
from edgedyno.core.statistics.median import median_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.result import Samples

# MLPerf LoadGen's early stopping at confidence 0.99 with no misses: fewer samples do not support the
# percentile.
TAIL_MIN_SAMPLES = {90: 64, 95: 130, 99: 662}


def steady_groups(samples: Samples, *, valid_only: bool = True) -> list[list[float]]:
    """Return the samples of each burst without those that follow the switch to the trial."""
    return [
        burst.latency_seconds[burst.after_switch :]
        for burst in samples.bursts
        if burst.valid or not valid_only
    ]


def summarize(
    groups: Sequence[Sequence[float]], *, stopped: bool = False, loads: int | None = None
) -> LatencySummary | None:
    """Summarize the samples of all groups; None without any sample.

    `stopped` says that the measuring ended because the interval had become narrow enough: it is then the one at
    STOPPED_ALPHA, which allows for the looking. `loads` is how many processes the samples come from.
    """
    filled = [np.asarray(group, dtype=np.float64) for group in groups if len(group)]
    if not filled:
        return None
    values = np.concatenate(filled)
    n = len(values)
    alpha = STOPPED_ALPHA if stopped else 0.05
    interval = median_interval(groups, alpha=alpha)
    if interval is not None and loads is not None:
        interval = interval.widened(load_half_width(alpha, loads))
    tails = {
        f"p{rank}": float(np.percentile(values, rank)) if n >= least else None
        for rank, least in TAIL_MIN_SAMPLES.items()
    }
    return LatencySummary(
        n=n,
        min=float(values.min()),
        p50=float(np.median(values)),
        mean=float(values.mean()),
        p50_low=interval.low if interval else None,
        p50_high=interval.high if interval else None,
        **tails,
    )
