"""The OpenCV plugin on real models: outputs, threads, precision, profile, failures."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.runtimes.onnx_file import read_inputs
from edgedyno.agent.runtimes.opencv_profile import layer_precision
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign
from tests.agent.runtimes.test_onnxruntime import convolutions
from tests.agent.runtimes.test_openvino import relu, saved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.worker.process import WorkerProcess

FASTESTDET = SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx"


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    """One worker, loaded again and again."""
    with foreign.started("opencv") as process:
        yield process


def test_probe_runs_the_tiny_model(worker: WorkerProcess) -> None:
    found = worker.ask("probe", foreign.SECONDS)["probe"]
    assert found["available"], found["reason"]
    assert found["formats"] == ["onnx"]
    assert found["details"]["parallel"] != "unknown"


def test_outputs_agree_with_onnx_runtime(worker: WorkerProcess, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, FASTESTDET, tmp_path)
    assert (spec["name"], spec["dtype"], spec["shape"]) == ("input.1", "float32", [1, 3, 352, 352])
    tensor = foreign.noise(1, 3, 352, 352)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert foreign.signal_to_noise_db(found, foreign.expected(FASTESTDET, tensor)) > 80


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_taken_keep_to_their_cores_and_sleep(threads: int, tmp_path: Path) -> None:
    tensor = foreign.noise(1, 3, 352, 352)
    assert foreign.keeps_to_its_cores("opencv", FASTESTDET, tensor, threads, tmp_path)


def integers(*, relu: bool) -> onnx.ModelProto:
    """Return a 3x3 convolution in QDQ form with INT8 weights; quantizers leave the ReLU to the range."""
    constants = {
        "scale": np.float32(0.05),
        "zero": np.uint8(0),
        "w": np.random.default_rng(0).integers(-127, 128, (16, 3, 3, 3)).astype(np.int8),
        "w_scale": np.float32(0.002),
        "w_zero": np.int8(0),
    }
    last = "r" if relu else "c"
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "scale", "zero"], ["x_d"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_d"]),
        helper.make_node("Conv", ["x_d", "w_d"], ["c"], pads=[1, 1, 1, 1]),
        *([helper.make_node("Relu", ["c"], ["r"])] if relu else []),
        helper.make_node("QuantizeLinear", [last, "scale", "zero"], ["y_q"]),
        helper.make_node("DequantizeLinear", ["y_q", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 64, 64])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


@pytest.mark.parametrize(
    ("model", "word", "least_db"),
    [
        (convolutions(), "fp32", 80),
        (integers(relu=False), "int8", 25),
        # OpenCV takes a convolution as integers only where it is quantized at once.
        (integers(relu=True), "fp32", 25),
    ],
)
def test_effective_precision_is_what_ran(
    worker: WorkerProcess, tmp_path: Path, model: onnx.ModelProto, word: str, least_db: float
) -> None:
    path = saved(model, tmp_path)
    tensor = foreign.noise(1, 3, 64, 64)
    foreign.load(worker, path, tmp_path)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert foreign.signal_to_noise_db(found, foreign.expected(path, tensor)) > least_db
    answer = worker.ask("precision", foreign.SECONDS)
    assert answer["effective_precision"] == word
    assert "of the layers' time" in answer["detail"]


def test_fp16_file_says_what_is_not_told(worker: WorkerProcess, tmp_path: Path) -> None:
    from onnxconverter_common import float16

    half = float16.convert_float_to_float16(convolutions(), keep_io_types=True)
    foreign.load(worker, saved(half, tmp_path), tmp_path)
    foreign.outputs(worker, foreign.noise(1, 3, 64, 64), tmp_path)
    answer = worker.ask("precision", foreign.SECONDS)
    assert answer["effective_precision"] == ("fp32" if platform.machine() == "x86_64" else "unknown")
    assert "fp16 stored; OpenCV does not tell its arithmetic" in answer["detail"]


def test_layers_are_told_by_their_type() -> None:
    assert layer_precision("Conv2Int8", half=False) == "int8"
    assert layer_precision("Cast2", half=True) == "converting"
    assert layer_precision("Conv2", half=False) == "fp32"


def test_profile_tells_every_layer(worker: WorkerProcess, tmp_path: Path) -> None:
    foreign.load(worker, FASTESTDET, tmp_path)
    foreign.outputs(worker, foreign.noise(1, 3, 352, 352), tmp_path)
    answer = worker.ask("profile", foreign.SECONDS)
    kinds = [each["type"] for each in answer["operators"]]
    assert kinds.count("Conv2") == 70
    assert sum(each["seconds"] for each in answer["operators"]) > 0.001


def test_free_batch_takes_the_asked_one(worker: WorkerProcess, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, saved(relu(["n", 3, 8, 8]), tmp_path), tmp_path, batch=2)
    assert spec["shape"] == [None, 3, 8, 8]
    (found,) = foreign.outputs(worker, foreign.noise(1, 3, 8, 8) - 0.5, tmp_path)
    np.testing.assert_array_equal(found, np.maximum(foreign.noise(1, 3, 8, 8) - 0.5, 0))


def test_constants_are_no_inputs(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(tiny.ONNX)  # it lists its weights among the inputs, as its version wants
    (spec,) = read_inputs(str(path))
    assert (spec.name, spec.dtype, spec.shape) == ("x", "float32", (1, 2))


@pytest.mark.parametrize("size", ["free", -1, 0])
def test_free_sizes_are_none(tmp_path: Path, size: str | int) -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, size])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [1, size])],
        )
    )
    (spec,) = read_inputs(str(saved(model, tmp_path)))
    assert (spec.dtype, spec.shape) == ("float16", (1, None))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model.empty"),
        (b"this is not ONNX", "model.invalid"),
        (convolutions().SerializeToString()[:3000], "model.invalid"),
        (tiny.TFLITE, "model.invalid"),
    ],
)
def test_bad_file_is_refused_by_name(
    worker: WorkerProcess, tmp_path: Path, content: bytes, code: str
) -> None:
    foreign.refuses(worker, content, tmp_path, code)


def test_unknown_operator_is_refused_by_name(worker: WorkerProcess, tmp_path: Path) -> None:
    model: onnx.ModelProto = relu([1])
    model.graph.node[0].op_type = "Frobnicate"
    foreign.refuses(worker, model.SerializeToString(), tmp_path, "model.operator", "Frobnicate")
