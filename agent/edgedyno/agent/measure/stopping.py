"""When a trial has been measured enough, and which ratios decide; pure functions of what was measured.

A trial is settled when its median's interval is within the job's precision and its ratio to the leader is
known to the same precision, or shown to differ. One that takes no fewer threads and no other cores than a
rival of the same variant and runtime, and is slower beyond doubt at two looks, is worse on every objective
and is eliminated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.core.result import Samples
from edgedyno.core.statistics import MIN_BLOCKS, Interval, Ratio, median_interval, paired_ratio, steady_groups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.planner import Cell

DIFFERENCE_ERROR = 0.01  # family-wise, over all looks and comparisons of a race (docs/method.md)
TAIL_SAMPLES = 130  # LoadGen: what a p95 needs; asked for where it is cheap
TAIL_BUDGET = 0.25  # of the time: beyond this, tails are left to the user's patience


class Estimate(NamedTuple):
    """What is known of one trial at one look."""

    median: Interval | None
    ratio: Ratio | None
    """To the leader; None for the leader itself or with too few common blocks."""
    different: bool
    """Whether it is shown to differ from the leader, at an error that allows for repeated looks."""
    samples: int

    def precision(self) -> float:
        """Return the worst relative half-width that still counts; infinite while nothing is known."""
        if self.median is None:
            return math.inf
        ratio = 0.0 if self.ratio is None or self.different else self.ratio.half_width
        return max(self.median.relative_half_width, ratio)


def estimate(log: TrialLog, leader: TrialLog | None, *, alpha: float, count_void: bool) -> Estimate:
    """Estimate one trial; `alpha` is what the test for a difference may err at this look."""
    groups = groups_of(log, count_void=count_void)
    median = median_interval(groups)
    ratio = None if leader is None or leader is log else ratio_of(log, leader, count_void=count_void)
    different = False
    if ratio is not None and leader is not None:
        sharp = ratio_of(log, leader, count_void=count_void, alpha=alpha)
        different = sharp is not None and sharp.excludes_one
    return Estimate(median, ratio, different, sum(map(len, groups)))


def groups_of(log: TrialLog, *, count_void: bool) -> list[list[float]]:
    """Return the steady samples by burst; void bursts too where everything was void."""
    return steady_groups(Samples(log.trial, [], log.bursts), valid_only=not count_void)


def ratio_of(log: TrialLog, other: TrialLog, *, count_void: bool, alpha: float = 0.05) -> Ratio | None:
    """Return the ratio of two trials over their common blocks; None where they are too few."""
    ours, theirs = _by_block(log, count_void=count_void), _by_block(other, count_void=count_void)
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < MIN_BLOCKS:
        return None
    return paired_ratio(
        [ours[block] for block in common], [theirs[block] for block in common], level=1 - alpha
    )


def _by_block(log: TrialLog, *, count_void: bool) -> dict[int, list[float]]:
    return {
        burst.block: burst.latency_seconds[burst.after_switch :]
        for burst in log.bursts
        if (burst.valid or count_void) and len(burst.latency_seconds) > burst.after_switch
    }


def is_settled(now: Estimate, *, precision: float, least_samples: int) -> bool:
    """Return whether more measuring would tell nothing that the job asked for."""
    return now.samples >= least_samples and now.precision() <= precision


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
