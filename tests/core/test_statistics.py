"""Intervals, ratios, quantiles and summaries; how often they hold is in test_coverage."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.core.result import Burst, Samples
from edgedyno.core.statistics import (
    alpha_of_look,
    flatten,
    mean_error,
    median_interval,
    paired_ratio,
    steady_groups,
    student_quantile,
    summarize,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Series = NDArray[np.float64]


def autoregressive(rng: np.random.Generator, n: int, correlation: float) -> Series:
    noise = rng.standard_normal(n)
    noise[1:] *= math.sqrt(1 - correlation**2)
    for index in range(1, n):
        noise[index] += correlation * noise[index - 1]
    return noise


def test_median_interval_of_bursts_covers_under_drift() -> None:
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(200):
        drift = 1.4 * autoregressive(rng, 80, 0.7)
        interval = median_interval([20 + level + rng.standard_normal(5) for level in drift])
        assert interval is not None
        hits += interval.low <= 20 <= interval.high
    assert hits / 200 >= 0.925


def test_intervals_of_uneven_bursts_and_of_many_are_those_of_their_samples() -> None:
    rng = np.random.default_rng(3)
    uneven = [rng.standard_normal(size).tolist() for size in rng.integers(0, 4, 1500)]
    interval = median_interval(uneven)
    assert interval is not None
    samples = np.concatenate([burst for burst in uneven if burst])
    assert interval.value == pytest.approx(float(np.median(samples)))
    assert interval.low < interval.value < interval.high
    assert interval.high - interval.low < 0.3


def test_groups_have_the_medians_of_their_samples() -> None:
    bursts = [[3.0, 1.0, 2.0], [4.0], [], [5.0, 9.0]]
    groups = flatten(bursts)
    assert groups.medians().tolist() == [2.0, 4.0, 7.0]
    assert groups.shares_below(np.array([1.0, 4.0]))[:, 1].tolist() == [1.0, 1.0, 0.0]
    assert flatten(groups) is groups
    many = flatten([[float(index)] for index in range(1000)]).merged()
    assert len(many.counts) == 300
    assert many.counts.sum() == 1000


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.7])
def test_ratio_of_a_file_against_itself_covers_one(correlation: float) -> None:
    """Shared drift cancels, what is left is correlated, and one burst in 20 is an outlier."""
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(200):
        shared = 0.17 * autoregressive(rng, 60, 0.8)
        both = [
            np.exp(shared + 0.02 * autoregressive(rng, 60, correlation) + 0.3 * (rng.random(60) < 0.05))
            for _ in range(2)
        ]
        ratio = paired_ratio(*[[[value] for value in series] for series in both])
        hits += not ratio.excludes_one
        assert ratio.half_width < 0.25
    assert hits / 200 >= 0.925


def test_ratio_finds_a_difference_of_two_percent_under_drift_of_twenty() -> None:
    rng = np.random.default_rng(10)
    shared = 0.2 * autoregressive(rng, 60, 0.8)
    first, second = (np.exp(shared + 0.01 * rng.standard_normal(60)) for _ in range(2))
    ratio = paired_ratio([[1.02 * value] for value in first], [[value] for value in second])
    assert ratio.low > 1.0
    assert ratio.low < 1.02 < ratio.high


def test_ratio_refuses_too_few_blocks() -> None:
    with pytest.raises(ValueError, match="found 7 and 7 blocks, expected the same number, 8 at least"):
        paired_ratio([[1.0]] * 7, [[1.0]] * 7)


def test_errors_far_out_do_not_make_everything_equal() -> None:
    """Student's t on five degrees asks for 16 standard errors at 1e-5; a normal distribution for 4.4."""
    rng = np.random.default_rng(12)
    widths = []
    for _ in range(50):
        error = mean_error(rng.standard_normal(200))
        assert error.half_width(0.05) < error.half_width(0.01) <= error.half_width(0.009)
        widths.append(error.half_width(1e-5) * math.sqrt(200))
    assert 4.4 < sorted(widths)[25] < 7


def test_identical_samples_have_no_error() -> None:
    assert mean_error(np.ones(50)).standard_error == 0.0
    ratio = paired_ratio([[2.0]] * 10, [[1.0]] * 10)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))


def test_median_interval_needs_eight_groups() -> None:
    assert median_interval([[1.0, 2.0, 3.0]] * 7) is None


# R: qt(p, df).
@pytest.mark.parametrize(
    ("probability", "degrees", "quantile"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.30265),
        (0.975, 5, 2.57058),
        (0.975, 30, 2.04227),
        (0.995, 10, 3.16927),
        (0.9999, 20, 4.53852),
        (0.975, 1e6, 1.95997),
    ],
)
def test_student_quantile(probability: float, degrees: float, quantile: float) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(quantile, rel=2e-4)


@pytest.mark.parametrize(
    ("n", "known"), [(63, []), (64, ["p90"]), (130, ["p90", "p95"]), (662, ["p90", "p95", "p99"])]
)
def test_tails_need_their_samples(n: int, known: list[str]) -> None:
    summary = summarize([[float(index)] for index in range(n)])
    assert summary is not None
    assert [name for name in ("p90", "p95", "p99") if getattr(summary, name) is not None] == known
    assert (summary.n, summary.min) == (n, 0.0)


def test_nothing_has_no_summary() -> None:
    assert summarize([]) is None
    assert summarize([[], []]) is None


def test_steady_groups_leave_out_switches_and_void_bursts() -> None:
    bursts = [
        Burst(0, 0.0, [9.0, 1.0, 2.0]),
        Burst(1, 0.0, [9.0, 3.0], valid=False),
        Burst(2, 0.0, [4.0], after_switch=0),
    ]
    samples = Samples("t", [], bursts)
    assert steady_groups(samples) == [[1.0, 2.0], [4.0]]
    assert steady_groups(samples, valid_only=False) == [[1.0, 2.0], [3.0], [4.0]]


def test_looks_never_spend_more_than_there_is() -> None:
    shares = [0.0, 0.1, 0.3, 0.35, 0.9, 1.2]
    spent = sum(
        6 * alpha_of_look(0.01, previous=previous, now=now, comparisons=6)
        for previous, now in pairwise(shares)
    )
    assert spent == pytest.approx(0.01, rel=1e-6)
    assert 0 < alpha_of_look(0.01, previous=0.5, now=0.5) < 1e-9


@pytest.mark.parametrize("alpha", [0.05, 1e-6, 1e-12, 1e-15])
def test_a_ratio_at_any_error_from_few_wild_blocks_is_wide_but_finite(alpha: float) -> None:
    wild = [[0.01 * 3.0 ** (index % 5)] for index in range(8)]
    steady = [[0.01]] * 8
    found = paired_ratio(wild, steady, level=1 - alpha)
    assert 0 < found.low < found.value < found.high < math.inf
    assert math.isfinite(found.half_width)
