"""Energy as a user meets it: a plug on a real broker, a real model in a real worker; or why there is no number.

The plug is a stand-in that speaks as a Tasmota does. Its watts follow the CPU time that the measured processes take.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from edgedyno.agent.measure import metering, runner
from edgedyno.agent.sensors import plug
from edgedyno.core.broker import Broker
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Variant
from edgedyno.core.meters import MeterSettings
from tests.agent.measure.requests import FASTESTDET, Bench, onnxruntime
from tests.agent.plugs import TasmotaLike

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Mosquitto

IDLE_WATTS, WATTS_OF_A_CORE = 3.0, 5.0
JOB = """\
name: metered
model: fastestdet
sweep: {{precisions: [fp32], threads: [1], runtimes: [onnxruntime]}}
measure: {{precision: 20%, max_seconds: {seconds}}}
"""


class Draw:
    """What a board draws whose processes are the descendants of one process."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._last = (time.monotonic(), self._cpu_seconds())
        self.lock = threading.Lock()

    def _cpu_seconds(self) -> dict[int, float]:
        found = {}
        for process in self._root.children(recursive=True):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            found[process.pid] = times.user + times.system
        return found

    def watts(self) -> float:
        """Return the mean power since the last call."""
        with self.lock:
            now, (before, old) = (time.monotonic(), self._cpu_seconds()), self._last
            self._last = now
        used = sum(max(0.0, seconds - old.get(pid, seconds)) for pid, seconds in now[1].items())
        return IDLE_WATTS + WATTS_OF_A_CORE * used / max(now[0] - before, 1e-3)


def environment(folder: Path, **config: Any) -> dict[str, str]:
    (folder / "agent.yaml").write_text(json.dumps({"state_dir": str(folder / "state"), **config}))
    return {**os.environ, "EDGEDYNO_CONFIG": str(folder / "agent.yaml")}


def test_a_plug_gives_energy_through_the_runner(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plug's rules on a clock of seconds: this one is prompt, and asked ten times a second."""
    monkeypatch.setattr(plug, "MIN_WINDOW_SECONDS", 6.0)
    monkeypatch.setattr(plug, "MAX_RATE_HERTZ", 20.0)
    monkeypatch.setattr(plug, "LAG_SECONDS", (0.0, 1.0))
    monkeypatch.setattr(metering, "MOST_DISTURBED", 1.0)  # other tests run on this machine
    monkeypatch.setattr(runner, "BUDGET_SHARE", 0.9)  # latency does not matter here
    bench = Bench(tmp_path)
    request = bench.request(
        [Variant("fp32", "onnx", bench.add(FASTESTDET))],
        runtimes=[onnxruntime()],
        sweep=Sweep(precisions=["fp32"], threads=[1]),
        measure=Measure(precision=0.5, max_seconds=20),
    )
    meter = MeterSettings("tasmota", topic="plug1", broker=Broker("127.0.0.1", mosquitto.port), ask_every=0.1)
    request.meters.append(meter)
    with TasmotaLike(mosquitto.port, Draw(os.getpid()).watts, decimals=2):
        (result,) = bench.run(request)
    energy, power = result.energy_joules_per_inference, result.power_watts
    assert energy is not None, result.energy_joules_per_inference_reason
    assert power is not None
    assert power.idle is not None
    assert (energy.source, energy.scope) == ("tasmota", "wall")
    assert energy.updates is not None
    assert energy.updates >= 30
    assert power.idle == pytest.approx(IDLE_WATTS, abs=0.5)
    assert power.mean - power.idle > 1.0
    assert energy.low < energy.value < energy.high
    extra = result.conditions.extra
    assert energy.value == pytest.approx(
        power.mean * extra["metered_seconds"] / extra["metered_inferences"], rel=1e-6
    )
    assert energy.idle_subtracted is not None
    assert 0 < energy.idle_subtracted < energy.value


def run_here(folder: Path, env: dict[str, str], seconds: int) -> subprocess.Popen[str]:
    (folder / "job.yaml").write_text(JOB.format(seconds=seconds))
    command = [sys.executable, "-m", "edgedyno.cli.main", "run", "job.yaml", "--out", "out"]
    return subprocess.Popen(
        command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_board_without_a_meter_says_so_on_the_last_line_but_one(tmp_path: Path) -> None:
    done = run_here(tmp_path, environment(tmp_path), 2)
    _, said = done.communicate(timeout=240)
    (line,) = [line for line in said.splitlines() if line.startswith("energy:")]
    (record,) = map(json.loads, (tmp_path / "out/results.jsonl").read_text().splitlines())
    if record["energy_joules_per_inference"]:
        pytest.skip("this machine has a power sensor")
    assert line.startswith("energy: not measured (no power sensor: ")
    assert "; add a plug with `power: [{source: tasmota, topic: …}]` in the agent's configuration)" in line
    assert record["power_watts"] is None
    assert record["power_watts_reason"] in line


@pytest.mark.long
@pytest.mark.timeout(900)
def test_run_with_a_plug_in_the_configuration(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Two minutes of inferences between two baselines of half a minute, by the rules as they are."""
    broker = {"host": "127.0.0.1", "port": mosquitto.port}
    env = environment(tmp_path, power=[{"source": "tasmota", "topic": "plug1", "broker": broker}])
    process = run_here(tmp_path, env, 440)
    with TasmotaLike(mosquitto.port, Draw(process.pid).watts):
        _, said = process.communicate(timeout=800)
    (line,) = [line for line in said.splitlines() if line.startswith("energy:")]
    (record,) = map(json.loads, (tmp_path / "out/results.jsonl").read_text().splitlines())
    energy = record["energy_joules_per_inference"]
    if energy is None and "s of the metered window were disturbed" in line:
        pytest.skip(f"this machine is not quiet enough: {line}")
    assert energy is not None, line
    assert line.startswith("energy: 1 of 1 trials metered by tasmota, scope wall; the least is ")
    assert energy["low"] < energy["value"] < energy["high"]
    assert energy["updates"] >= 30
    assert record["conditions"]["extra"]["metered_seconds"] >= plug.MIN_WINDOW_SECONDS
