"""Do the intervals hold? Series with a known truth through the real estimators, void rules and stopping rule.

A row is covered when the interval holds the truth or the result is void: what must not be is wrong and valid.
The truth of a series that shifts is the median of its window; two clock states that change slowly have the
median of the long run where four cycles fit in the window, and that of the window where not.
Usage: python benchmarks/coverage.py [--trials N] [--seed S]
"""

from __future__ import annotations

import argparse
import math
import time
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.agent.measure.stopping import LEAST_BURSTS
from edgedyno.core.statistics import (
    STOPPED_ALPHA,
    Groups,
    log_ratio_of_medians,
    median_interval,
    steadiness_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Generator = np.random.Generator

LENGTHS = (60, 200, 600, 2000)
LOOK_GROWTH = 1.2  # as the race has it
STOPPED_LENGTH = 600  # where the time is up
BURSTS_PER_ROUND = 4
PRECISION = 0.04
TRUE_RATIO = 1.03
NORMAL = NormalDist()


class Batch(NamedTuple):
    """Series of logarithms of latency, one a row, and the true logarithm of each one's first n values."""

    values: Array
    truth: Callable[[int], Array]


class Tally(NamedTuple):
    """What came of the trials of one row."""

    covered: int
    void: int
    wrong: int
    half_width: float
    trials: int

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % interval of the share that is covered or void (Wilson 1927)."""
        n, share, z = self.trials, 1 - self.wrong / self.trials, 1.96
        centre = (share + z**2 / 2 / n) / (1 + z**2 / n)
        half = z * math.sqrt(share * (1 - share) / n + (z / 2 / n) ** 2) / (1 + z**2 / n)
        return centre - half, centre + half


def autoregressive(rng: Generator, rows: int, n: int, correlation: float) -> Array:
    """Return AR(1) series of unit variance."""
    noise = rng.standard_normal((n, rows))
    noise[1:] *= math.sqrt(1 - correlation**2)
    for index in range(1, n):
        noise[index] += correlation * noise[index - 1]
    series: Array = noise.T
    return series


def clock_states(rng: Generator, rows: int, n: int, cycle: float) -> Array:
    """Return 0 (fast, 70 % of the time) and 1 (slow), with `cycle` values from one fast visit to the next."""
    chance, states = rng.random((n, rows)), np.empty((n, rows))
    state = (rng.random(rows) < 0.3).astype(float)
    for index in range(n):
        states[index] = state
        leaves = chance[index] < np.where(state == 0, 1 / (0.7 * cycle), 1 / (0.3 * cycle))
        state = np.where(leaves, 1 - state, state)
    series: Array = states.T
    return series


def mixture_median(fast_share: float, gap: float, deviation: float) -> float:
    """Return the median of a normal at 0 and one at `gap`, mixed."""
    low, high = min(0.0, gap) - 1, max(0.0, gap) + 1
    for _ in range(60):
        middle = (low + high) / 2
        below = fast_share * NORMAL.cdf(middle / deviation)
        below += (1 - fast_share) * NORMAL.cdf((middle - gap) / deviation)
        low, high = (middle, high) if below < 0.5 else (low, middle)
    return (low + high) / 2


def steady(values: Array) -> Batch:
    """Return a batch whose median is 0 throughout."""
    return Batch(values, lambda _: np.zeros(len(values)))


def two_clocks(rng: Generator, rows: int, n: int, cycle: float, gap: float) -> Batch:
    """Return series that change between two clock states `gap` apart."""
    states = clock_states(rng, rows, n, cycle)
    values = gap * states + 0.02 * rng.standard_normal((rows, n))

    def truth(length: int) -> Array:
        if length >= 4 * cycle:
            return np.full(rows, mixture_median(0.7, gap, 0.02))
        shares = 1 - states[:, :length].mean(axis=1)
        return np.array([mixture_median(share, gap, 0.02) for share in shares.tolist()])

    return Batch(values, truth)


def stepped(rng: Generator, rows: int, n: int, height: float, correlation: float = 0.0) -> Batch:
    """Return series of 3 % scatter that shift by `height` somewhere in their middle three fifths."""
    at = np.round(rng.uniform(0.2, 0.8, rows) * n)
    values = 0.03 * autoregressive(rng, rows, n, correlation) + height * (np.arange(n) >= at[:, None])

    def truth(length: int) -> Array:
        shares = np.minimum(1.0, at / length)
        return np.array([mixture_median(share, height, 0.03) for share in shares.tolist()])

    return Batch(values, truth)


def ramp(rng: Generator, rows: int, n: int, rise: float) -> Batch:
    """Return series of 3 % scatter that rise steadily."""
    values = 0.03 * rng.standard_normal((rows, n)) + rise * np.arange(n) / n
    return Batch(values, lambda length: np.full(rows, rise * (length - 1) / 2 / n))


def heavy(rng: Generator, rows: int, n: int) -> Array:
    """Return series whose tails reach ten times the median."""
    return np.clip(0.05 * rng.standard_t(2, (rows, n)), -0.7, 2.3)


MEDIANS: dict[str, Callable[[Generator, int, int], Batch]] = {
    "independent": lambda rng, r, n: steady(0.05 * rng.standard_normal((r, n))),
    "AR(0.5)": lambda rng, r, n: steady(0.05 * autoregressive(rng, r, n, 0.5)),
    "AR(0.9)": lambda rng, r, n: steady(0.05 * autoregressive(rng, r, n, 0.9)),
    "AR(0.9), scatter 10 %": lambda rng, r, n: steady(0.1 * autoregressive(rng, r, n, 0.9)),
    "AR(0.9) under noise": lambda rng, r, n: steady(
        0.05 * autoregressive(rng, r, n, 0.9) + 0.05 * rng.standard_normal((r, n))
    ),
    "heavy tails": lambda rng, r, n: steady(heavy(rng, r, n)),
    "two clocks, fast": lambda rng, r, n: two_clocks(rng, r, n, 12, 0.3),
    "two clocks, cycle 50": lambda rng, r, n: two_clocks(rng, r, n, 50, 0.3),
    "two clocks, cycle 50, 6 %": lambda rng, r, n: two_clocks(rng, r, n, 50, 0.06),
    "two clocks, cycle 200": lambda rng, r, n: two_clocks(rng, r, n, 200, 0.3),
    "step of 5 %": lambda rng, r, n: stepped(rng, r, n, 0.05),
    "step of 20 %, AR(0.5)": lambda rng, r, n: stepped(rng, r, n, 0.2, 0.5),
    "rise of 10 %": lambda rng, r, n: ramp(rng, r, n, 0.1),
    "rise of 30 %": lambda rng, r, n: ramp(rng, r, n, 0.3),
}


def common(rng: Generator, rows: int, n: int) -> Array:
    """Return what both trials of a pair go through: 10 % of wandering and a step of 15 %."""
    return 0.1 * autoregressive(rng, rows, n, 0.8) + 0.15 * (np.arange(n) >= 0.4 * n)


# What each trial of a pair goes through alone; the common drift and step come on top.
RATIOS: dict[str, Callable[[Generator, int, int], Array]] = {
    "independent": lambda rng, r, n: 0.05 * rng.standard_normal((r, n)),
    "AR(0.5)": lambda rng, r, n: 0.05 * autoregressive(rng, r, n, 0.5),
    "AR(0.9)": lambda rng, r, n: 0.05 * autoregressive(rng, r, n, 0.9),
    "heavy tails": heavy,
    "one in 20 disturbed": lambda rng, r, n: (
        0.03 * rng.standard_normal((r, n)) + 0.5 * (rng.random((r, n)) < 0.05)
    ),
    "two clocks, fast": lambda rng, r, n: two_clocks(rng, r, n, 12, 0.1).values,
}


def single_groups(values: Array) -> Groups:
    """Return each value as a group of its own."""
    n = len(values)
    return Groups(values, np.arange(n), np.ones(n, dtype=np.intp))


def tally(rows: list[tuple[bool, bool, float]]) -> Tally:
    """Count rows of (covered, void, half-width)."""
    wrong = sum(not covered and not void for covered, void, _ in rows)
    widths = [width for _, void, width in rows if not void]
    mean = float(np.mean(widths)) if widths else math.nan
    return Tally(
        sum(covered for covered, _, _ in rows), sum(void for _, void, _ in rows), wrong, mean, len(rows)
    )


def judge_median(values: Array, truth: float, alpha: float = 0.05) -> tuple[bool, bool, float]:
    """Return whether the interval holds the truth, whether the result is void, and the half-width."""
    groups = single_groups(np.exp(values))
    found = median_interval(groups, alpha=alpha)
    if found is None:
        return True, True, math.nan
    covered = found.low <= math.exp(truth) <= found.high
    return covered, steadiness_of(groups).is_void, found.relative_half_width


def median_row(family: str, n: int, trials: int, seed: int) -> Tally:
    """Try one family at one length."""
    batch = MEDIANS[family](np.random.default_rng(seed), trials, n)
    truth = batch.truth(n).tolist()
    return tally([judge_median(*each) for each in zip(batch.values, truth, strict=True)])


def looks(limit: int) -> list[int]:
    """Return after how many bursts a race looks, as race.py does."""
    found, rounds, following = [], 0, 1
    while rounds * BURSTS_PER_ROUND < limit:
        rounds += 1
        if rounds >= following:
            following = max(rounds + 1, round(rounds * LOOK_GROWTH))
            found.append(rounds * BURSTS_PER_ROUND)
    return found


def stopped_row(family: str, trials: int, seed: int) -> Tally:
    """Try one family under the stopping rule; what never stops is judged at the end."""
    batch = MEDIANS[family](np.random.default_rng(seed), trials, STOPPED_LENGTH)
    counts = [count for count in looks(STOPPED_LENGTH) if LEAST_BURSTS <= count <= STOPPED_LENGTH]
    truths = {count: batch.truth(count) for count in [*counts, STOPPED_LENGTH]}
    rows = []
    for index, values in enumerate(batch.values):
        end, alpha = STOPPED_LENGTH, 0.05
        for count in counts:
            found = median_interval(single_groups(np.exp(values[:count])), alpha=STOPPED_ALPHA)
            if found and found.relative_half_width <= PRECISION:
                end, alpha = count, STOPPED_ALPHA
                break
        rows.append(judge_median(values[:end], float(truths[end][index]), alpha))
    return tally(rows)


def ratio_row(family: str, n: int, trials: int, seed: int) -> Tally:
    """Try one family of pairs at one length."""
    rng = np.random.default_rng(seed)
    shared = common(rng, trials, n)
    first, second = (np.exp(shared + RATIOS[family](rng, trials, n)) for _ in range(2))
    found = [
        log_ratio_of_medians(TRUE_RATIO * a, b).interval(0.05) for a, b in zip(first, second, strict=True)
    ]
    return tally([(each.low <= TRUE_RATIO <= each.high, False, each.half_width) for each in found])


def print_row(estimator: str, family: str, n: str, row: Tally) -> None:
    """Print one line of the table."""
    low, high = row.bounds
    print(
        f"{estimator:8} {family:26} {n:>5}  {1 - row.wrong / row.trials:6.1%} ({low:.1%} to {high:.1%})"
        f"  {row.covered / row.trials:6.1%}  {row.half_width:7.2%}  {row.void / row.trials:6.1%}"
        f"  {row.wrong / row.trials:6.1%}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    print(
        f"{'':8} {'family':26} {'n':>5}  covered or void (95 %)    covered  +-width    void   wrong and valid"
    )
    for family in MEDIANS:
        for n in LENGTHS:
            print_row("median", family, str(n), median_row(family, n, options.trials, options.seed))
    for family in MEDIANS:
        print_row("stopped", family, "", stopped_row(family, options.trials, options.seed))
    for family in RATIOS:
        for n in LENGTHS:
            print_row("ratio", family, str(n), ratio_row(family, n, options.trials, options.seed))
    print(f"{options.trials} trials a row, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
