"""The metrics of results. The results are synthetic stand-ins for those of a board."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from edgedyno.controller.exporter import Cell, _results
from edgedyno.core.result import Bounded, Deadlines, Soak, StageSummary
from tests.controller.synthetic import SWEEP, Lab, Trial

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric


class _Only(Collector):
    """Collects the metrics of one result."""

    def __init__(self, trial: Trial) -> None:
        (self._result,) = Lab().results(trial)

    def collect(self) -> Iterable[Metric]:
        return _results([Cell(self._result, recommended=True)])


def metrics_of(**fields: Any) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(_Only(replace(SWEEP[0], more=fields)))
    text = generate_latest(registry).decode()
    promtool = shutil.which("promtool")
    if promtool:
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        line.partition("{")[0].removeprefix("edgedyno_result_"): float(line.split()[-1]) for line in lines
    }


def test_stages_and_their_sum() -> None:
    stages = {"preprocess_seconds": StageSummary(17, 0.004), "postprocess_seconds": StageSummary(17, 0.008)}
    found = metrics_of(**stages, after_switch_seconds=Bounded(0.0003))
    assert found["preprocess_seconds"] == 0.004
    assert found["postprocess_seconds"] == 0.008
    assert found["end_to_end_seconds"] == pytest.approx(0.012 + 0.024, rel=0.05)
    assert found["after_switch_seconds"] == 0.0003
    assert found["settled"] == 1


def test_deadlines() -> None:
    found = metrics_of(scenario="fixed-rate 30 fps", deadlines=Deadlines(1 / 30, 900, 12, 3))
    assert (found["arrivals"], found["deadlines_missed"]) == (900, 12)


def test_soak() -> None:
    found = metrics_of(scenario="soak 30 min", soak=Soak(1800.0, 0.02, 0.022, Bounded(1.1)))
    assert found["soak_slowdown_ratio"] == 1.1


def test_what_a_scenario_does_not_measure_is_absent() -> None:
    assert not metrics_of().keys() & {"deadlines_missed", "soak_slowdown_ratio", "end_to_end_seconds"}


def test_what_ran_stands_beside_what_was_asked() -> None:
    registry = CollectorRegistry()
    registry.register(_Only(replace(SWEEP[2], more={"effective_precision": "fp32"})))
    lines = generate_latest(registry).decode().splitlines()
    (info,) = [line for line in lines if line.startswith("edgedyno_result_info{")]
    assert 'precision="fp16"' in info
    assert 'effective_precision="fp32"' in info


def test_simulated_result_has_no_latency() -> None:
    found = metrics_of(latency_seconds=None, latency_seconds_reason="simulated: no time", settled=None)
    assert "latency_seconds" not in found
    assert found["valid"] == 1
