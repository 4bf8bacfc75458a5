"""The energy method on replayed series: intervals hold, and what must give no number gives none."""

from __future__ import annotations

import importlib.util
import random
import sys
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.measure.energy import Metered, Unmetered
from tests.conftest import ROOT

if TYPE_CHECKING:
    from types import ModuleType

TRIALS = 60
# Of 60 intervals that hold in 95 of 100, fewer than 51 hold in 1 of 600 such tests; the benchmark judges sharply.
LEAST_COVERED = 51


@pytest.fixture(scope="module", name="replay")
def _replay() -> ModuleType:
    spec = importlib.util.spec_from_file_location("energy_replay", ROOT / "benchmarks/energy_replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["energy_replay"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    ["Orin Nano, INA3221, steps of 0.04 W", "AGX Orin, INA3221, steps of 0.4 W", "x86, RAPL that wraps"],
)
def test_intervals_hold(replay: ModuleType, name: str) -> None:
    row = replay.judge(replay.CASES[name], TRIALS, random.Random(5))
    assert row.numbers >= TRIALS * 0.9
    assert row.covered >= LEAST_COVERED * row.numbers / TRIALS
    assert row.covered_above >= LEAST_COVERED * row.numbers / TRIALS


@pytest.mark.parametrize("name", ["plug that reports every 300 s", "idle power moves by 20 %"])
def test_no_number(replay: ModuleType, name: str) -> None:
    run = replay.CASES[name](random.Random(2))
    assert isinstance(run.result, Unmetered)


def test_the_lag_of_a_plug_is_found(replay: ModuleType) -> None:
    meter = replay.Meter(replay._plug("tasmota"), 0.1, 1.0, 144, 15, delay_seconds=5.0, tau_seconds=3.0)
    run = replay.play(meter, replay.World(3.0, 6.0, 0.1, 1.0), random.Random(3))
    assert isinstance(run.result, Metered)
    assert run.result.energy.lag_seconds == pytest.approx(8.0, abs=0.8)
    assert run.result.energy.value == pytest.approx(run.total_joules, rel=0.01)


@pytest.mark.parametrize("seconds", [-8.0, 6.0])
def test_a_clock_that_is_off_is_found(replay: ModuleType, seconds: float) -> None:
    meter = replay.Meter(replay._file(None), 1e-3, 0.05, 30, 5, clock_seconds=seconds)
    run = replay.play(meter, replay.World(3.0, 6.0, 0.1), random.Random(4))
    assert isinstance(run.result, Metered), run.result
    assert run.result.energy.lag_seconds == pytest.approx(seconds, abs=0.5)
    assert run.result.energy.value == pytest.approx(run.total_joules, rel=0.01)


def test_a_clock_that_cannot_be_found_gives_no_number(replay: ModuleType) -> None:
    meter = replay.Meter(replay._file(None), 1e-3, 0.05, 30, 5)
    run = replay.play(meter, replay.World(3.0, 0.02, 0.5), random.Random(4))
    assert isinstance(run.result, Unmetered)
    assert "say clock_offset" in run.result.reason
