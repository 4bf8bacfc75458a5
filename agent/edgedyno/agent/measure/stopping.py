"""When a trial has been measured enough, and which ratios decide; pure functions of what was measured.

A trial is settled when its median's interval is within the job's precision and its ratio to the leader is
known to the same precision, or shown to differ. One that takes no fewer threads and no other cores than a
rival of the same variant and runtime, and is slower beyond doubt at two looks, is worse on every objective
and is eliminated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.agent.measure.steady import steady_of
from edgedyno.core.result import Samples
from edgedyno.core.statistics import (
    MIN_BLOCKS,
    STOPPED_ALPHA,
    Interval,
    LogRatio,
    Ratio,
    log_ratio_of_medians,
    steady_groups,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.steady import Steady

DIFFERENCE_ERROR = 0.01  # family-wise, over all looks and comparisons of a race (docs/method.md)
TAIL_SAMPLES = 130  # LoadGen: what a p95 needs; asked for where it is cheap
TAIL_BUDGET = 0.25  # of the time: beyond this, tails are left to the user's patience
# How far neighbouring bursts hang together is not seen in fewer: a race of AR(0.9) bursts that may stop after 30
# covers 88 %, after 100 what it says (benchmarks/coverage.py). Bursts of slow models lie far apart in time; machines
# were seen to wander within 0.4 s (docs/method.md), and a minute is long beside that.
LEAST_BURSTS = 100
LEAST_BURSTS_FAR_APART, FAR_APART_SECONDS = 20, 60.0


class Estimate(NamedTuple):
    """What is known of one trial at one look."""

    median: Interval | None
    ratio: Ratio | None
    """To the leader; None for the leader itself or with too few common blocks."""
    different: bool
    """Whether it is shown to differ from the leader, at an error that allows for repeated looks."""
    samples: int
    long_enough: bool = True
    """Whether there are bursts enough to see how far they hang together."""

    def precision(self) -> float:
        """Return the worst relative half-width that still counts; infinite while nothing is known."""
        if self.median is None:
            return math.inf
        ratio = 0.0 if self.ratio is None or self.different else self.ratio.half_width
        return max(self.median.relative_half_width, ratio)


def estimate(log: TrialLog, leader: TrialLog | None, *, alpha: float, count_void: bool) -> Estimate:
    """Estimate one trial; `alpha` is what the test for a difference may err at this look."""
    steady = steady_of(log, count_void=count_void)
    ratio, different = None, False
    if leader is not None and leader is not log:
        known = _log_ratio(log, leader, count_void=count_void)
        if known is not None:
            ratio = known.interval(STOPPED_ALPHA)
            different = known.interval(alpha).excludes_one
    return Estimate(
        steady.interval, ratio, different, len(steady.groups.values), long_enough=_is_long_enough(steady)
    )


def _is_long_enough(steady: Steady) -> bool:
    bursts = len(steady.blocks)
    return bursts >= LEAST_BURSTS or (
        bursts >= LEAST_BURSTS_FAR_APART and steady.seconds >= FAR_APART_SECONDS
    )


def groups_of(log: TrialLog, *, count_void: bool) -> list[list[float]]:
    """Return the steady samples by burst; void bursts too where everything was void."""
    return steady_groups(Samples(log.trial, [], log.bursts), valid_only=not count_void)


def ratio_of(log: TrialLog, other: TrialLog, *, count_void: bool, alpha: float = 0.05) -> Ratio | None:
    """Return the ratio of two trials over their common blocks; None where they are too few."""
    known = _log_ratio(log, other, count_void=count_void)
    return None if known is None else known.interval(alpha)


def _log_ratio(log: TrialLog, other: TrialLog, *, count_void: bool) -> LogRatio | None:
    ours, theirs = steady_of(log, count_void=count_void), steady_of(other, count_void=count_void)
    common, first, second = np.intersect1d(ours.blocks, theirs.blocks, return_indices=True)
    if len(common) < MIN_BLOCKS:
        return None
    known = log_ratio_of_medians(ours.medians[first], theirs.medians[second])
    return known._replace(loads=(ours.loads, theirs.loads))


def is_settled(now: Estimate, *, precision: float, least_samples: int) -> bool:
    """Return whether more measuring would tell nothing that the job asked for."""
    return now.long_enough and now.samples >= least_samples and now.precision() <= precision


def least_samples(median_seconds: float, trials: int, budget_seconds: float) -> int:
    """Return how many samples to take at least: enough for a p95 where that is cheap."""
    cheap = median_seconds * TAIL_SAMPLES * trials <= TAIL_BUDGET * budget_seconds
    return TAIL_SAMPLES if cheap else MIN_BLOCKS


def is_dominated(cell: Cell, rival: Cell) -> bool:
    """Return whether `cell`, were it slower than `rival`, would be worse on every objective."""
    same = (cell.variant_sha256, cell.runtime, cell.runtime_version, cell.batch, cell.scenario) == (
        rival.variant_sha256,
        rival.runtime,
        rival.runtime_version,
        rival.batch,
        rival.scenario,
    )
    return same and rival.threads <= cell.threads and set(rival.cpus) <= set(cell.cpus)


def remaining_seconds(
    estimates: Sequence[Estimate], *, precision: float, gone_seconds: float
) -> float | None:
    """Guess when all are settled, as intervals shrink with the root of time; None while nothing is known."""
    worst = max((now.precision() for now in estimates), default=math.inf)
    if not math.isfinite(worst) or precision <= 0:
        return None
    return gone_seconds * max(0.0, (worst / precision) ** 2 - 1)
