"""The energy method on series whose truth is known: intervals cover it, and broken rules give no number."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.measure.energy import Metered, Unmetered, Window, meter_window
from edgedyno.agent.measure.spread import mean_with_spread
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

HWMON = SensorSpec(source="ina3221_hwmon", scope="module", kind="sampled", min_window_seconds=10.0)
DCMI = SensorSpec(
    source="ipmi_dcmi", scope="machine", kind="sampled", min_window_seconds=180.0, lead_seconds=30.0
)
RAPL = SensorSpec(source="rapl", scope="package", kind="counter", min_window_seconds=1.0)
MODULE = Available(scope="module", rails=["VDD_IN"], period_seconds=0.1, resolution=0.04)
MACHINE = Available(scope="machine", rails=[], period_seconds=1.0, resolution=1.0)
PACKAGE = Available(scope="package", rails=["package-0"], period_seconds=0.001, resolution=61e-6)


def series(
    power: Callable[[float], float],
    start: float,
    stop: float,
    *,
    period: float = 0.1,
    step: float = 0.04,
) -> list[Reading]:
    """Sample `power` with a sensor that rounds to `step` and stamps every update."""
    count = round((stop - start) / period) + 1
    stamps = [start + index * period for index in range(count)]
    return [Reading(at, round(power(at) / step) * step, at) for at in stamps]


def constant(watts: float) -> Callable[[float], float]:
    """Return a power that never moves."""
    return lambda _at: watts


def noisy(watts: float, sigma: float, generator: random.Random) -> Callable[[float], float]:
    """Return a power with white noise."""
    return lambda _at: watts + generator.gauss(0, sigma)


def metered(
    running: list[Reading],
    *,
    seconds: float = 20.0,
    inferences: int = 100,
    idle_before: list[Reading] | None = None,
    idle_after: list[Reading] | None = None,
) -> Metered | Unmetered:
    """Meter a window from 0 to `seconds` with the module's sensor."""
    return meter_window(
        HWMON,
        MODULE,
        readings=running,
        window=Window(0.0, seconds, inferences),
        idle_before=series(constant(2.0), -10, -1) if idle_before is None else idle_before,
        idle_after=series(constant(2.0), 30, 40) if idle_after is None else idle_after,
    )


def test_constant_power() -> None:
    result = metered(series(constant(10.0), -1, 21))
    assert isinstance(result, Metered)
    assert result.energy.value == pytest.approx(10.0 * 20 / 100)
    assert result.energy.idle_subtracted == pytest.approx(8.0 * 20 / 100)
    assert result.energy.low < result.energy.value < result.energy.high
    assert [result.power.mean, result.power.idle] == pytest.approx([10.0, 2.0])
    assert (result.energy.source, result.energy.scope) == ("ina3221_hwmon", "module")


def test_only_the_window_counts() -> None:
    result = metered(series(lambda at: 10.0 if 0 <= at <= 20 else 50.0, -5, 25))
    assert isinstance(result, Metered)
    assert result.power.mean == pytest.approx(10.0)


def test_rounding_stays_in_the_interval() -> None:
    result = metered(series(constant(10.0185), -1, 21))
    assert isinstance(result, Metered)
    assert result.energy.low <= 10.0185 * 0.2 <= result.energy.high
    assert result.energy.value != pytest.approx(10.0185 * 0.2, rel=1e-4)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
def test_intervals_cover_the_truth(sigma: float) -> None:
    generator = random.Random(20240 + int(sigma * 100))
    covered = 0
    runs = 600
    for _ in range(runs):
        truth = generator.uniform(9.0, 11.0)
        result = metered(series(noisy(truth, sigma, generator), 0, 20))
        assert isinstance(result, Metered)
        covered += result.energy.low <= truth * 0.2 <= result.energy.high
    assert 0.93 <= covered / runs <= 0.975


def test_correlated_power_is_covered() -> None:
    generator = random.Random(7)
    covered = 0
    runs = 400
    for _ in range(runs):
        state = 0.0
        readings = []
        for index in range(400):
            state = 0.7 * state + generator.gauss(0, 0.5)
            readings.append(Reading(index * 0.1, 10.0 + state, index))
        result = metered(readings, seconds=39.9)
        assert isinstance(result, Metered)
        covered += result.energy.low <= 10.0 * 0.399 <= result.energy.high
    assert 0.92 <= covered / runs <= 0.975


def _reason(result: Metered | Unmetered) -> str:
    assert isinstance(result, Unmetered)
    return result.reason


def test_a_short_window_gives_no_number() -> None:
    assert "needs 10 s" in _reason(metered(series(constant(10.0), 0, 9), seconds=9.0))


def test_few_updates_give_no_number() -> None:
    frozen = [Reading(index * 0.1, 10.0, index // 10) for index in range(201)]
    assert "updated 21 times" in _reason(metered(frozen))


def test_a_frozen_sensor_gives_no_number() -> None:
    assert "updated 1 times" in _reason(metered([Reading(index * 0.1, 10.0, "same") for index in range(201)]))


def test_a_sensor_that_falls_silent_gives_no_number() -> None:
    readings = [each for each in series(constant(10.0), 0, 20) if not 8 < each.at_seconds < 13]
    assert "no reading for 5." in _reason(metered(readings))
    assert "no reading" in _reason(metered([]))


def test_a_sensor_that_starts_late_gives_no_number() -> None:
    assert "no reading for 2.8 s" in _reason(metered(series(constant(10.0), 3, 20)))


def test_no_idle_baseline_gives_no_number() -> None:
    running = series(constant(10.0), 0, 20)
    assert "no idle baseline before" in _reason(metered(running, idle_before=[]))
    assert "no idle baseline after" in _reason(metered(running, idle_after=[]))


def test_an_idle_baseline_that_moved_gives_no_number() -> None:
    result = metered(series(constant(10.0), 0, 20), idle_after=series(constant(2.6), 30, 40))
    assert "idle power moved by 0.600 W" in _reason(result)


def test_a_baseline_that_moved_a_little_widens_the_interval() -> None:
    steady = metered(series(constant(10.0), 0, 20))
    moved = metered(series(constant(10.0), 0, 20), idle_after=series(constant(2.32), 30, 40))
    assert isinstance(steady, Metered)
    assert isinstance(moved, Metered)
    widths = [_width_above_idle(each) for each in (steady, moved)]
    # Half the way that the baseline moved, 95 % of it, at each side; 0.2 s are taken by each inference.
    assert widths[1] == pytest.approx(2 * 0.475 * 0.32 * 0.2, rel=0.15)
    assert widths[1] > 3 * widths[0]
    # The total does not depend on the baseline.
    assert moved.energy.high == steady.energy.high


def _width_above_idle(result: Metered) -> float:
    low, high = result.energy.idle_subtracted_low, result.energy.idle_subtracted_high
    assert low is not None
    assert high is not None
    return high - low


def test_running_below_idle_gives_no_number() -> None:
    assert "not more than idle" in _reason(metered(series(constant(1.5), 0, 20)))


def test_no_inference_gives_no_number() -> None:
    assert "no inference" in _reason(metered(series(constant(10.0), 0, 20), inferences=0))


def test_dcmi_leaves_the_first_half_minute_out() -> None:
    def lagging(at: float) -> float:
        return 300.0 if at < 0 else 400.0 if at > 25 else 300.0 + 4 * at

    result = meter_window(
        DCMI,
        MACHINE,
        readings=series(lagging, -1, 201, period=1.0, step=1.0),
        window=Window(0.0, 200.0, 1000),
        idle_before=series(constant(300.0), -40, -2, period=1.0, step=1.0),
        idle_after=series(constant(300.0), 240, 280, period=1.0, step=1.0),
    )
    assert isinstance(result, Metered)
    assert result.power.mean == pytest.approx(400.0)
    assert result.energy.value == pytest.approx(400.0 * 0.2)


def _counter(
    watts: float, start: float, stop: float, generator: random.Random | None = None
) -> list[Reading]:
    joules = itertools.accumulate(
        (
            0.1 * (watts + (generator.gauss(0, 0.5) if generator else 0.0))
            for _ in range(round((stop - start) * 10))
        ),
        initial=1000.0,
    )
    return [Reading(start + index * 0.1, value, value) for index, value in enumerate(joules)]


def _package(running: list[Reading], seconds: float = 2.0) -> Metered | Unmetered:
    return meter_window(
        RAPL,
        PACKAGE,
        readings=running,
        window=Window(0.0, seconds, 50),
        idle_before=_counter(3.0, -4, -1),
        idle_after=_counter(3.0, 5, 8),
    )


def test_a_counter() -> None:
    result = _package(_counter(15.0, -0.5, 2.5))
    assert isinstance(result, Metered)
    assert result.energy.value == pytest.approx(15.0 * 2 / 50, rel=1e-3)
    assert result.energy.idle_subtracted == pytest.approx(12.0 * 2 / 50, rel=1e-3)
    assert result.updates >= 1000


def test_a_counter_covers_the_truth() -> None:
    generator = random.Random(11)
    covered = 0
    for _ in range(400):
        result = _package(_counter(15.0, -0.5, 10.5, generator), seconds=10.0)
        assert isinstance(result, Metered)
        covered += result.energy.low <= 15.0 * 0.2 <= result.energy.high
    assert 0.93 <= covered / 400 <= 0.985


def test_a_counter_that_stands_still_gives_no_number() -> None:
    assert "did not move" in _reason(_package([Reading(index * 0.1, 5.0, 5.0) for index in range(-5, 26)]))


def test_spread_of_next_to_nothing_is_unknown() -> None:
    assert mean_with_spread([1.0, 2.0, 3.0]) == (2.0, float("inf"))
    assert mean_with_spread([2.0] * 40) == (2.0, 0.0)
