"""Metering after the race, on real workers, with a scripted sensor: no machine here has a real one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.measure import runner
from edgedyno.agent.measure.meter import Meter
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Variant
from tests.agent.measure.requests import SCRIPTED, Bench, install_scripted

if TYPE_CHECKING:
    from pathlib import Path


class SteadySensor:
    """A counter of 5 W at rest; more while this process's own clock says that a window runs."""

    def __init__(self, min_window_seconds: float) -> None:
        self.spec = SensorSpec("steady", "package", "counter", min_window_seconds)
        self.busy = False
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
        self.sensor.busy = bool(avoid_cpus)
        super().start(avoid_cpus=avoid_cpus)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    install_scripted(monkeypatch, tmp_path / "site")
    return Bench(tmp_path)


def use(monkeypatch: pytest.MonkeyPatch, min_window_seconds: float) -> None:
    sensor = SteadySensor(min_window_seconds)
    monkeypatch.setattr(runner, "open_meter", lambda **_: MarkedMeter(sensor, sensor.probe()))


def test_energy_comes_from_a_window_of_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, 1.0)
    variant = Variant("fp32", "script", bench.script("good", seconds=0.005))
    measure = Measure(precision=0.5, max_seconds=14)
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
