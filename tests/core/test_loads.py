"""What loading adds to intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgedyno.core.statistics import (
    LOAD_SPREAD,
    Interval,
    load_half_width,
    loads_wanted,
    paired_ratio,
    summarize,
)


def test_more_processes_leave_less_of_what_loading_changes() -> None:
    assert load_half_width(0.05, 1, 1) == pytest.approx(1.96 * LOAD_SPREAD * math.sqrt(2), rel=1e-3)
    assert load_half_width(0.05, 4, 4) == pytest.approx(load_half_width(0.05, 1, 1) / 2)
    assert load_half_width(0.05, 1) < load_half_width(0.05, 1, 1)


@pytest.mark.parametrize("precision", [0.05, 0.03, 0.02, 0.01, 0.005])
def test_as_many_processes_are_wanted_as_leave_half_of_the_precision(precision: float) -> None:
    wanted = loads_wanted(precision)
    assert load_half_width(0.05, wanted, wanted) <= precision / 2
    assert wanted == 1 or load_half_width(0.05, wanted - 1, wanted - 1) > precision / 2


def test_ratio_of_files_is_less_sure_than_that_of_processes() -> None:
    random = np.random.default_rng(1)
    first, second = random.normal(1, 0.001, (2, 100, 1)).tolist()
    processes = paired_ratio(first, second)
    files = paired_ratio(first, second, loads=(1, 1))
    assert files.value == processes.value
    assert files.half_width == pytest.approx(math.hypot(processes.half_width, load_half_width(0.05, 1, 1)))


def test_a_stream_of_pairs_that_differ_by_loading_is_covered() -> None:
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        shifts = random.normal(0, LOAD_SPREAD, (2, 1, 1))
        first, second = np.exp(shifts + random.normal(0, 0.03, (2, 200, 1))).tolist()
        covered += not paired_ratio(first, second, loads=(1, 1)).excludes_one
    assert covered >= 182  # 95 % of 200, less three standard deviations of the binomial


def test_median_allows_for_loading_on_both_sides() -> None:
    assert Interval(1.0, 1.0, 1.0).widened(0.01).low == pytest.approx(math.exp(-0.01))
    groups = np.random.default_rng(3).normal(0.01, 1e-5, (100, 1)).tolist()
    once, bare = summarize(groups, loads=1), summarize(groups)
    assert once is not None
    assert bare is not None
    assert once.p50_low is not None
    assert bare.p50_low is not None
    assert once.p50_low < bare.p50_low * (1 - 0.9 * load_half_width(0.05, 1))
