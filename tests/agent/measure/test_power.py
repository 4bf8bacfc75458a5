"""Metering after the race, on real workers, with a scripted sensor: no machine here has a real one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from edgedyno.agent.measure import metering, runner
from edgedyno.agent.measure.meter import Meter
from edgedyno.agent.measure.validity import Observation, Watch
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Variant
from edgedyno.core.result import Validity
from tests.agent.measure.requests import SCRIPTED, Bench, install_scripted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class SteadySensor:
    """A counter of 5 W at rest; more while this process's own clock says that a window runs."""

    busy = False

    def __init__(self, min_window_seconds: float) -> None:
        self.spec = SensorSpec("steady", "package", "counter", min_window_seconds)
        self._joules = 0.0
        self._last = time.monotonic()

    def probe(self) -> Available:
        return Available("package", ["steady"], 0.001, 1e-6)

    def read(self) -> Reading:
        now = time.monotonic()
        self._joules += (now - self._last) * (15.0 if self.busy else 5.0)
        self._last = now
        return Reading(now, self._joules, self._joules)


class MarkedMeter(Meter):
    """Tells its sensor when a window is metered, as the load itself would."""

    def start(self, *, avoid_cpus: tuple[int, ...] = ()) -> None:  # type: ignore[override]
        assert isinstance(self.sensor, SteadySensor)
        self.sensor.read()
        SteadySensor.busy = bool(avoid_cpus)
        super().start(avoid_cpus=avoid_cpus)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    install_scripted(monkeypatch, tmp_path / "site")
    return Bench(tmp_path)


def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let windows count that other tests on this machine disturb."""
    monkeypatch.setattr(metering, "MOST_DISTURBED", 1.0)
    monkeypatch.setattr(runner, "BUDGET_SHARE", 0.9)  # latency does not matter here


def use(monkeypatch: pytest.MonkeyPatch, min_window_seconds: float) -> None:
    undisturbed(monkeypatch)
    sensor = SteadySensor(min_window_seconds)
    monkeypatch.setattr(runner, "open_meter", lambda **_: MarkedMeter(sensor, sensor.probe()))


def test_energy_comes_from_a_window_of_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, 1.0)
    variant = Variant("fp32", "script", bench.script("good", seconds=0.005))
    measure = Measure(precision=0.5, max_seconds=9)
    (result,) = bench.run(bench.request([variant], runtimes=[SCRIPTED], measure=measure))
    power, energy = result.power_watts, result.energy_joules_per_inference
    assert power is not None, result.power_watts_reason
    assert energy is not None
    assert power.idle == pytest.approx(5, rel=0.05)
    assert power.mean == pytest.approx(15, rel=0.1)
    each = result.conditions.extra["metered_seconds"] / result.conditions.extra["metered_inferences"]
    assert energy.value == pytest.approx(power.mean * each, rel=0.01)
    assert result.power_watts_reason is None
    assert bench.ended.failure is None


class DisturbedWatch(Watch):
    """Finds every metered second disturbed, until so many were: then it is quiet for good."""

    until = 0

    def stop(self, worker_pids: Iterable[int] = ()) -> Observation:
        found = super().stop(worker_pids)
        reasons = []
        if SteadySensor.busy and DisturbedWatch.until > 0:
            DisturbedWatch.until -= 1
            reasons = ["throttle counter cpu0 moved from 1 to 2"]
        return structs.replace(found, validity=Validity(valid=not reasons, reasons=reasons))


@pytest.mark.parametrize(("seconds", "metered"), [(1, True), (1000, False)])
def test_a_disturbed_window_is_run_again_and_never_gives_a_number(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: int, *, metered: bool
) -> None:
    use(monkeypatch, 1.0)
    monkeypatch.setattr(metering, "MOST_DISTURBED", 0.05)
    monkeypatch.setattr("edgedyno.agent.measure.power.IDLE_LEAST_SECONDS", 0.6)
    monkeypatch.setattr("edgedyno.agent.measure.power.MOST_TRIES", 2)
    monkeypatch.setattr(runner, "Watch", DisturbedWatch)
    monkeypatch.setattr(DisturbedWatch, "until", seconds)
    variant = Variant("fp32", "script", bench.script("good", seconds=0.005))
    (result,) = bench.run(
        bench.request([variant], runtimes=[SCRIPTED], measure=Measure(precision=0.5, max_seconds=11))
    )
    assert (result.power_watts is not None) == metered, result.power_watts_reason
    assert (result.energy_joules_per_inference is not None) == metered
    if not metered:
        assert result.power_watts_reason is not None
        assert "s of the metered window were disturbed: throttle counter cpu0" in result.power_watts_reason
        assert result.conditions.extra["metered_disturbed_ratio"] == 1.0


def test_trial_without_time_to_meter_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, 60.0)
    variant = Variant("fp32", "script", bench.script("good", seconds=0.001))
    sweep = Sweep(precisions=["fp32"], threads=[1])
    monkeypatch.setattr("edgedyno.agent.measure.power.IDLE_MOST_SECONDS", 0.2)
    monkeypatch.setattr("edgedyno.agent.measure.power.IDLE_LEAST_SECONDS", 0.2)
    (result,) = bench.run(bench.request([variant], runtimes=[SCRIPTED], sweep=sweep))
    assert result.power_watts is None
    assert result.power_watts_reason is not None
    assert "a longer measure.max_seconds" in result.power_watts_reason
