"""Steps, drift and rare changes between two levels are found, and say what was found."""

from __future__ import annotations

import numpy as np
import pytest

from edgedyno.core.statistics import median_interval, steadiness_of, steadiness_reasons
from edgedyno.core.statistics.steadiness import SHIFT_BOUND, Steadiness

RNG = np.random.default_rng(4)
NOISE = np.exp(0.02 * RNG.standard_normal(200))


def judge(levels: np.ndarray) -> Steadiness:
    return steadiness_of([[value, value] for value in (levels * NOISE).tolist()])


def test_a_steady_series_is_steady() -> None:
    found = judge(np.ones(200))
    assert found == Steadiness(shifted=False)
    assert not found.is_void


@pytest.mark.parametrize("at", [40, 100, 160])
def test_a_step_is_found_where_it_is(at: int) -> None:
    found = judge(np.where(np.arange(200) < at, 1.0, 1.2))
    assert found.is_void
    assert found.where == pytest.approx(at / 200, abs=0.03)
    assert found.size == pytest.approx(0.2, abs=0.02)
    assert found.reason == f"latency changed once between two levels {found.size:.0%} apart (bound 10%)"


def test_a_step_under_autocorrelation_is_found() -> None:
    series = np.zeros(200)
    for index in range(1, 200):
        series[index] = 0.7 * series[index - 1] + 0.03 * RNG.standard_normal()
    found = steadiness_of([[value] for value in np.exp(series + 0.3 * (np.arange(200) >= 80)).tolist()])
    assert found.is_void


def test_a_small_step_is_told_but_not_void() -> None:
    found = judge(np.where(np.arange(200) < 100, 1.0, 1.05))
    assert found.shifted
    assert not found.is_void
    assert found.size < SHIFT_BOUND


def test_a_steady_rise_is_drift() -> None:
    found = judge(1 + 0.3 * np.arange(200) / 200)
    assert found.is_void
    assert found.reason is not None
    assert "shifted" in found.reason or "drifted" in found.reason


def test_rare_changes_widen_the_interval_over_both_levels() -> None:
    levels = np.where((np.arange(200) // 40) % 2 == 0, 1.0, 1.4)
    found = judge(levels)
    assert not found.shifted
    assert found.levels == pytest.approx((1.0, 1.4), rel=0.02)
    interval = median_interval([[value] for value in (levels * NOISE).tolist()])
    assert interval is not None
    assert interval.low < 1.01
    assert interval.high > 1.38


def test_frequent_changes_are_wandering() -> None:
    levels = np.where((np.arange(200) // 4) % 3 == 0, 1.4, 1.0)
    assert judge(levels).levels is None


def test_one_disturbance_is_no_shift() -> None:
    levels = np.ones(200)
    levels[90:92] = 10.0
    assert judge(levels).levels is None


def test_reasons_are_those_of_void_series_only() -> None:
    steady = [[value] for value in NOISE.tolist()]
    shifted = [[value] for value in (np.where(np.arange(200) < 90, 1.0, 1.5) * NOISE).tolist()]
    assert steadiness_reasons(steady) == []
    assert len(steadiness_reasons(shifted)) == 1


def test_too_short_or_constant_series_are_not_judged() -> None:
    assert not steadiness_of([[1.0]] * 10 + [[2.0]] * 9).shifted
    assert not steadiness_of([[1.0]] * 50).shifted
    assert not steadiness_of([]).shifted
