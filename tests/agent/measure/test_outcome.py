"""What bursts come to: deadlines, rates, soaks; series with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from edgedyno.agent.measure.journal import TrialLog
from edgedyno.agent.measure.scenarios.outcome import (
    count_deadlines,
    rate_of,
    scenario_fields,
    steady_after,
    summarize_soak,
)
from edgedyno.agent.measure.scenarios.streams import slices
from edgedyno.core.job import FixedRate, Scenario, Sweep, Throughput
from edgedyno.core.job import Soak as SoakScenario
from edgedyno.core.result import Bounded, Burst, Deadlines
from edgedyno.core.statistics import MIN_GROUPS


def window(block: int, latency_seconds: list[float], *, arrivals: int) -> Burst:
    return Burst(block, float(block), [9.9, *latency_seconds], arrivals=arrivals)


def test_missed_are_the_late_and_the_dropped() -> None:
    bursts = [window(0, [0.01, 0.10, 0.11], arrivals=5), window(1, [0.01] * 4, arrivals=4)]
    assert count_deadlines(bursts, 0.1) == Deadlines(0.1, arrivals=9, missed=3, dropped=2)
    assert count_deadlines([], 0.1) is None


def test_fixed_rate_answers_no_more_than_comes() -> None:
    log = TrialLog("t", bursts=[window(0, [0.01] * 3, arrivals=4)])
    sweep = Sweep(scenario=Scenario(fixed_rate=FixedRate(10.0)))
    fields = scenario_fields(sweep, 2, log, count_void=False)
    assert fields["throughput_per_second"] == pytest.approx(2 * 7.5)


def test_void_windows_do_not_count() -> None:
    bursts = [window(0, [0.01], arrivals=1), Burst(1, 1.0, [9.9], valid=False, arrivals=7)]
    sweep = Sweep(scenario=Scenario(fixed_rate=FixedRate(10.0)))
    log = TrialLog("t", bursts=bursts)
    assert scenario_fields(sweep, 1, log, count_void=False)["deadlines"].arrivals == 1
    assert scenario_fields(sweep, 1, log, count_void=True)["deadlines"].arrivals == 8


def test_a_rate_is_counted_over_windows_and_bounded_from_eight_on() -> None:
    bursts = [
        Burst(block, 0.0, [0.1], window_seconds=2.0, window_inferences=count)
        for block, count in enumerate([199.0, 201.0] * 4)
    ]
    few = rate_of(bursts[: MIN_GROUPS - 1])
    assert few is not None
    assert few.low is None
    rate = rate_of(bursts)
    assert rate is not None
    assert rate.value == pytest.approx(100.0)
    assert rate.low is not None
    assert rate.high is not None
    assert 98 < rate.low < 100 < rate.high < 102
    assert rate_of([]) is None
    sweep = Sweep(scenario=Scenario(throughput=Throughput(4)))
    fields = scenario_fields(sweep, 8, TrialLog("t", bursts=bursts), count_void=False)
    assert fields["throughput_per_second"] == pytest.approx(800.0)
    assert isinstance(fields["throughput_per_second_interval"], Bounded)


@pytest.mark.parametrize(
    ("cpus", "streams", "threads", "expected"),
    [
        ([0, 1, 2, 3], 2, 2, [[0, 1], [2, 3]]),
        ([3, 2, 1, 0], 4, 1, [[0], [1], [2], [3]]),
        ([36, 37, 8442], 2, 1, [[36], [37]]),
        ([0, 1], 1, 1, [[0, 1]]),
        ([0, 1], 2, 2, None),
        ([0, 1], 5, 1, None),
    ],
)
def test_core_sets_are_shared_out_where_all_threads_fit(
    cpus: list[int], streams: int, threads: int, expected: list[list[int]] | None
) -> None:
    assert slices(cpus, streams, threads) == expected


def soak(levels: list[float], *, noise: float = 0.01, seed: int = 1) -> list[Burst]:
    """Return one burst of ten inferences a second, at the level of that second."""
    rng = np.random.default_rng(seed)
    wander = np.zeros(len(levels))
    for second in range(1, len(levels)):
        wander[second] = 0.7 * wander[second - 1] + noise * rng.standard_normal()
    return [
        Burst(second, float(second), [0.1 * level * float(np.exp(wander[second]))] * 10, after_switch=0)
        for second, level in enumerate(levels)
    ]


def test_a_throttled_soak_is_slower_at_its_end_and_says_from_when_on_it_is_steady() -> None:
    bursts = soak([1.0] * 180 + [1.5] * 420)
    found = summarize_soak(bursts, throttled_after_seconds=181.0)
    assert found is not None
    assert found.slowdown.low is not None
    assert found.slowdown.high is not None
    assert found.slowdown.low < 1.5 < found.slowdown.high
    assert found.slowdown.high - found.slowdown.low < 0.2
    assert found.first_p50 == pytest.approx(0.1, rel=0.05)
    assert found.last_p50 == pytest.approx(0.15, rel=0.05)
    assert found.steady_after_seconds == pytest.approx(180, abs=10)
    assert found.throttled_after_seconds == 181.0


def test_an_even_soak_is_steady_from_the_start_in_nineteen_of_twenty_cases() -> None:
    steady = [steady_after(soak([1.0] * 600, seed=seed)) == 0.0 for seed in range(60)]
    assert sum(steady) >= 54


def test_the_slowdown_of_an_even_but_wandering_soak_holds_one() -> None:
    held = 0
    for seed in range(60):
        found = summarize_soak(soak([1.0] * 600, seed=seed), throttled_after_seconds=None)
        assert found is not None
        held += (found.slowdown.low or 9.0) <= 1.0 <= (found.slowdown.high or 0.0)
    assert held >= 53


def test_a_soak_that_still_changes_at_the_end_is_not_steady() -> None:
    levels = [1.0 + second / 600 for second in range(600)]
    assert steady_after(soak(levels, noise=0.001)) is None


def test_a_soak_too_short_to_bound_gives_the_ratio_alone() -> None:
    found = summarize_soak(soak([1.0] * 20), throttled_after_seconds=None)
    assert found is not None
    assert found.slowdown.low is None
    assert found.steady_after_seconds is None
    assert summarize_soak([], throttled_after_seconds=None) is None


def test_the_latency_of_a_soak_is_that_of_its_end() -> None:
    log = TrialLog("t", bursts=soak([1.0] * 300 + [2.0] * 300, noise=0.0))
    sweep = Sweep(scenario=Scenario(soak=SoakScenario(10.0)))
    fields = scenario_fields(sweep, 1, log, count_void=False)
    assert fields["latency_seconds"].p50 == pytest.approx(0.2)
    assert fields["throughput_per_second"] == pytest.approx(5.0)


def test_single_stream_adds_nothing() -> None:
    assert scenario_fields(Sweep(), 1, TrialLog("t"), count_void=False) == {}


def test_a_board_that_warms_up_and_settles_is_steady_after_that() -> None:
    levels = [1.3 - 0.3 * float(np.exp(-second / 60)) for second in range(1200)]
    after = steady_after(soak(levels, noise=0.002))
    assert after is not None
    assert 120 <= after <= 600
