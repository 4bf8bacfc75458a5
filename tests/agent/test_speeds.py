"""Measured speeds: a real child measures, what is kept goes stale with its conditions, what fails says why."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import onnxruntime
import pytest
from msgspec.structs import replace

from edgedyno.agent import speeds
from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.speeds import PROGRAM, speed_conditions, with_speeds
from edgedyno.agent.worker import speed
from edgedyno.agent.worker.speed import product_model
from edgedyno.core.board import Capabilities, RuntimeInfo, Speeds
from edgedyno.core.run import Environment
from tests.agent.boards import board

if TYPE_CHECKING:
    from pathlib import Path

HERE = [Environment("default", sys.executable)]


@pytest.fixture(scope="module", name="found")
def _found() -> Capabilities:
    runtime = RuntimeInfo("onnxruntime", onnxruntime.__version__, available=True)
    return replace(read_capabilities(probe_runtimes=False), runtimes=[runtime])


def test_a_real_child_measures_and_the_figures_are_kept(
    tmp_path: Path, found: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speeds, "QUANTITY_SECONDS", 0.02)
    monkeypatch.setattr(speeds, "MATRIX_SIZE", 64)
    file = tmp_path / "speeds.json"
    assert "not measured yet" in (with_speeds(found, HERE, file).speeds_reason or "")
    measured = with_speeds(found, HERE, file, when_stale=True).speeds
    assert measured is not None
    assert {each.cores for each in measured.sets} >= {"single"}
    for each in measured.sets:
        had = {*each.operations_per_second, *(["copy"] if each.copy_bytes_per_second else [])}
        disturbed = {name.split()[0] for name in measured.reasons if name.endswith(f" on {each.cores}")}
        assert had | disturbed >= {"copy", "fp32", "int8"}
        assert not had & disturbed
    assert "numpy" in measured.methods["copy"]
    assert f"onnxruntime {onnxruntime.__version__} MatMulInteger" in measured.methods["int8"]
    assert measured.conditions["kernel"] == found.kernel
    monkeypatch.setattr(speeds, "measure_speeds", None)  # what is kept is not measured again
    assert with_speeds(found, HERE, file, when_stale=True).speeds == measured


def test_other_conditions_make_it_stale(tmp_path: Path, found: Capabilities) -> None:
    file = tmp_path / "speeds.json"
    kept = Speeds([], {}, conditions=speed_conditions(found))
    file.write_bytes(msgspec.json.encode(speeds._Kept(kept)))
    assert with_speeds(found, HERE, file).speeds == kept
    other = with_speeds(replace(found, kernel="7.0.0"), HERE, file)
    assert other.speeds is None
    assert f"kernel was {found.kernel}, is 7.0.0" in (other.speeds_reason or "")
    file.write_text("{")
    assert "not measured yet" in (with_speeds(found, HERE, file).speeds_reason or "")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.exit('boom')", "measuring ended with 1: boom"),
        ("print('no json')", "measuring gave no answer"),
        ("import time; time.sleep(30)", "measuring took more than 0.5 s"),
    ],
)
def test_what_fails_says_why(
    tmp_path: Path, found: Capabilities, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    monkeypatch.setattr(speeds, "PROGRAM", file)
    monkeypatch.setattr(speeds, "CHILD_SECONDS", 0.5)
    seen = with_speeds(found, HERE, tmp_path / "speeds.json", measure=True)
    assert seen.speeds is None
    assert reason in (seen.speeds_reason or "")
    assert not (tmp_path / "speeds.json").exists()


def test_an_interpreter_that_is_not_there(tmp_path: Path, found: Capabilities) -> None:
    nowhere = [Environment("default", str(tmp_path / "python"))]
    seen = with_speeds(replace(found, runtimes=[]), nowhere, tmp_path / "s", measure=True)
    assert "cannot be started: No such file or directory" in (seen.speeds_reason or "")


def test_calls_that_others_disturb_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of 1 s of which half was had, then one that was had whole; then none."""
    clock = SimpleNamespace(wall=0.0, cpu=0.0, shares=[1.0, 0.5, 0.4, 1.0, 0.3])

    def step() -> None:
        share = clock.shares.pop(0) if clock.shares else 0.5
        clock.cpu += 1.0
        clock.wall += 1.0 / share

    fake = SimpleNamespace(perf_counter=lambda: clock.wall, process_time=lambda: clock.cpu)
    monkeypatch.setattr(speed, "time", fake)
    assert speed.best_rate(step, 10.0, {"threads": 1, "seconds": 1.0}) == 10.0
    with pytest.raises(RuntimeError, match="at most 50% of them was had"):
        speed.best_rate(step, 10.0, {"threads": 1, "seconds": 1.0})


def test_without_numpy_each_quantity_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('gone')")
    request = json.dumps({"cpus": [0], "precisions": ["fp32"], "threads": 1})
    code = (
        f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['x', {request!r}]; "
        f"runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["reasons"] == {"copy": "no numpy: gone", "fp32": "no numpy: gone"}


@pytest.mark.parametrize(("precision", "value"), [("fp32", 8.0), ("int8", 8)])
def test_the_models_are_products(precision: str, value: float) -> None:
    import numpy as np

    session = onnxruntime.InferenceSession(product_model(precision, 8), providers=["CPUExecutionProvider"])
    kind = {"fp32": np.float32, "int8": np.uint8}[precision]
    (out,) = session.run(None, {"a": np.ones((8, 8), kind)})
    assert out.tolist() == [[value] * 8] * 8


def test_sets_of_a_recorded_board_and_its_arrays() -> None:
    kunpeng = read_capabilities(root=board("kunpeng920-2s"))
    sets = speeds._sets(kunpeng)
    assert {name: len(cpus) for name, cpus in sets.items()} == {"single": 1, "all": 128, "node0": 32}
    rock = speeds._sets(read_capabilities(root=board("rock-5b")))
    assert rock["single"] == [4]
    assert list(rock) == ["single", "big", "little", "all"]
    request = speeds._request(kunpeng, sets["node0"], ["fp32"])
    assert request["copy_bytes"] == 4 * (256 << 20)
