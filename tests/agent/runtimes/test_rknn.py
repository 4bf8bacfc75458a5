"""Rockchip's NPU: what is said where it is not, the board's half on a scripted stand-in, the real simulator."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.runtimes import rknn
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions
from edgedyno.agent.runtimes.rknn_file import BUILD, FLOAT, MODEL, QUANTIZED, describe_file
from edgedyno.agent.runtimes.rknn_simulator import RknnSimulator
from edgedyno.agent.worker.process import WorkerProcess
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign, scripted_rknn

TABLE = b"""custom_quantize_layers: {}
quantize_parameters:
    images:
        dtype: float32
    '652':
        dtype: int8
    '653':
        dtype: int8
    '654':
        dtype: float16
"""
SIMULATION = {
    MODEL: scripted_rknn.file_bytes(),
    BUILD: json.dumps({"target_platform": "rk3588", "precision": "int8"}).encode(),
    **dict(zip(QUANTIZED, (b"graph", b"weights", TABLE), strict=True)),
}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the device tree's file of a scripted RK3588 board, where the stand-ins are."""
    scripted_rknn.install(monkeypatch)
    tree = tmp_path / "compatible"
    tree.write_bytes(b"radxa,rock-5b\0rockchip,rk3588\0")
    monkeypatch.setattr(rknn, "find_processor", lambda: real_find_processor(str(tree)))
    return tree


real_find_processor = rknn.find_processor


def options(model: Path, *, threads: int = 1) -> LoadOptions:
    return LoadOptions(str(model), threads, 1, str(model.parent))


def saved(folder: Path, data: bytes = scripted_rknn.file_bytes()) -> Path:
    path = folder / "model"  # artifacts have no suffix
    path.write_bytes(data)
    return path


def code_of(call: Any) -> str:
    with pytest.raises(InferenceError) as raised:
        call()
    return raised.value.code


def test_here_neither_is_there_and_says_what_to_do() -> None:
    board, simulator = rknn.Rknn().probe(), RknnSimulator().probe()
    assert not board.available
    assert "aarch64" in (board.reason or "")
    assert not simulator.available
    assert "environment of its own" in (simulator.reason or "")


def test_processor_is_read_from_the_device_tree(scripted: Path) -> None:
    assert real_find_processor(str(scripted)) == "rk3588"
    assert real_find_processor("/nowhere") is None
    scripted.write_bytes(b"raspberrypi,4-model-b\0brcm,bcm2711\0")
    assert real_find_processor(str(scripted)) is None
    assert "expected one of rk3588" in (rknn.Rknn().probe().reason or "")


def test_scripted_board_without_the_library_says_so(scripted: Path) -> None:
    found = rknn.Rknn().probe()
    assert not found.available
    assert "librknnrt.so" in (found.reason or "")


def test_scripted_board_is_there_and_says_that_no_model_ran(
    scripted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rknn, "LIBRARY", None)  # the program itself, which can always be opened
    found = rknn.Rknn().probe()
    assert found.available, found.reason
    assert found.details is not None
    assert (found.details["processor"], found.details["npu_cores"]) == ("rk3588", "3")
    assert "no model was run" in found.details["proved"]


@pytest.mark.parametrize("bundled", [False, True])
def test_scripted_board_runs_a_file_or_its_bundle(scripted: Path, tmp_path: Path, bundled: bool) -> None:
    model = scripted_rknn.bundle(tmp_path / "model", SIMULATION) if bundled else saved(tmp_path)
    runtime = rknn.Rknn()
    runtime.load(options(model, threads=3))
    (spec,) = runtime.inputs()
    assert (spec.name, spec.dtype, spec.shape) == ("images", "float32", (1, 3, 8, 8))
    read = runtime.bind([np.ones(spec.shape, np.float32)])
    runtime.invoke()
    assert read()[0].tolist() == [[192.0] * 10]
    word, detail = runtime.effective_precision()
    assert word == "int8"
    assert detail.startswith("by the file: built by rknn-toolkit2 2.5.0 for rk3588")
    assert code_of(runtime.profile) == "profile.unsupported"
    (made,) = scripted_rknn.RKNNLite.made
    assert made.core_mask == 7
    runtime.close()
    assert made.released


def test_scripted_board_refuses_by_name(scripted: Path, tmp_path: Path) -> None:
    assert code_of(lambda: rknn.Rknn().load(options(saved(tmp_path), threads=4))) == "threads.beyond"
    other = saved(tmp_path, scripted_rknn.file_bytes(target="rk3562"))
    assert code_of(lambda: rknn.Rknn().load(options(other))) == "model.target"
    assert code_of(lambda: rknn.Rknn().load(options(saved(tmp_path, b"")))) == "model.empty"
    assert code_of(lambda: rknn.Rknn().load(options(saved(tmp_path, b"words")))) == "model.invalid"
    cut = saved(tmp_path, scripted_rknn.file_bytes()[:100])
    assert code_of(lambda: rknn.Rknn().load(options(cut))) == "model.invalid"
    scripted_rknn.RKNNLite.init_answer = -1
    assert code_of(lambda: rknn.Rknn().load(options(saved(tmp_path)))) == "model.load"
    scripted_rknn.RKNNLite.load_answer = -1
    assert code_of(lambda: rknn.Rknn().load(options(saved(tmp_path)))) == "model.invalid"


def test_scripted_board_that_fails_in_an_inference(scripted: Path, tmp_path: Path) -> None:
    runtime = rknn.Rknn()
    runtime.load(options(saved(tmp_path)))
    runtime.bind([np.ones((1, 3, 9, 9), np.float32)])
    assert code_of(runtime.invoke) == "runtime.error"


def test_file_that_is_not_quantized_computes_in_fp16(tmp_path: Path) -> None:
    assert describe_file(str(saved(tmp_path, scripted_rknn.file_bytes(kind="")))).precision == "fp16"


def test_scripted_simulator_builds_from_the_quantization_that_was_found(
    scripted: Path, tmp_path: Path
) -> None:
    before = Path.cwd()
    runtime = RknnSimulator()
    runtime.load(options(scripted_rknn.bundle(tmp_path / "model", SIMULATION)))
    assert Path.cwd() == before
    calls = scripted_rknn.RKNN.calls
    assert [name for name, _ in calls] == ["config", "hybrid_quantization_step2", "init_runtime"]
    assert calls[0][1] == {"target_platform": "rk3588"}
    assert Path(calls[1][1]["data"]).read_bytes() == b"weights"
    read = runtime.bind([np.ones((1, 3, 8, 8), np.float32)])
    runtime.invoke()
    assert read()[0].tolist() == [192.0]
    word, detail = runtime.effective_precision()
    assert word == "int8"
    assert detail.startswith("simulated; by the quantization table: 2 of 3 tensors int8, 1 of 3 tensors fp16")


def test_scripted_simulator_builds_fp16_from_onnx(scripted: Path, tmp_path: Path) -> None:
    members = {
        MODEL: scripted_rknn.file_bytes(kind=""),
        BUILD: b'{"target_platform": "rk3588"}',
        FLOAT: b"graph",
    }
    runtime = RknnSimulator()
    runtime.load(options(scripted_rknn.bundle(tmp_path / "model", members)))
    assert [name for name, _ in scripted_rknn.RKNN.calls] == ["config", "load_onnx", "build", "init_runtime"]
    loaded = scripted_rknn.RKNN.calls[1][1]
    assert (loaded["inputs"], loaded["sizes"]) == (["images"], [[1, 3, 8, 8]])
    assert runtime.effective_precision()[0] == "fp16"


@pytest.mark.parametrize(
    ("call", "code"), [("hybrid_quantization_step2", "model.operator"), ("init_runtime", "model.load")]
)
def test_scripted_simulator_that_cannot_build(scripted: Path, tmp_path: Path, call: str, code: str) -> None:
    scripted_rknn.RKNN.fail = call
    model = scripted_rknn.bundle(tmp_path / "model", SIMULATION)
    assert code_of(lambda: RknnSimulator().load(options(model))) == code


@pytest.mark.parametrize("alone", [scripted_rknn.file_bytes(), None])
def test_finished_file_alone_cannot_be_simulated(scripted: Path, tmp_path: Path, alone: bytes | None) -> None:
    members = {MODEL: scripted_rknn.file_bytes()}
    model = saved(tmp_path, alone) if alone else scripted_rknn.bundle(tmp_path / "model", members)
    with pytest.raises(InferenceError, match="cannot simulate a finished") as raised:
        RknnSimulator().load(options(model))
    assert raised.value.code == "model.simulation"


@pytest.mark.long
def test_real_simulator_runs_a_real_model(tmp_path: Path) -> None:
    """FastestDet fails in the toolkit's own fusion, so YOLOX-nano it is: unquantized, against its known range."""
    source = SAMPLES / "models/yolox_nano/yolox_nano_416_fp32.onnx"
    members = {
        # The simulator takes from this file only what the inputs are.
        MODEL: scripted_rknn.file_bytes(kind="").replace(b"[1, 3, 8, 8]", b"[1, 3, 416, 416]"),
        BUILD: b'{"target_platform": "rk3588"}',
        FLOAT: source.read_bytes(),
    }
    plugin = next(each for each in find_plugins() if each.name == "rknn-simulator")
    tensor = np.random.default_rng(0).random((1, 3, 416, 416), dtype=np.float32) * 255
    np.save(tmp_path / "x.npy", tensor)
    with tempfile.TemporaryFile() as log:
        worker = WorkerProcess(str(foreign.interpreter("rknn")), log)
        try:
            worker.ask("start", 60, plugin=plugin._asdict())
            probe = worker.ask("probe", 120)["probe"]
            assert probe["available"], probe["reason"]
            assert probe["details"]["timing"] == "simulated"
            model = scripted_rknn.bundle(tmp_path / "model", members)
            worker.ask("load", 240, model=str(model), threads=1, batch=1, scratch=str(tmp_path))
            answer = worker.ask("infer", 120, path=str(tmp_path / "x.npy"), folder=str(tmp_path), name="o")
        finally:
            worker.close()
    import onnxruntime

    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: tensor})[0]
    error = np.mean((np.load(answer["outputs"][0]) - expected) ** 2) / np.mean(expected**2)
    assert error < 1e-4  # 40 dB: FP16; a wrong layout gives about 1
