"""The ONNX Runtime plugin on real models: failures by name, and what really ran."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxconverter_common import float16

from edgedyno.agent.runtimes.base import InferenceError, LoadOptions
from edgedyno.agent.runtimes.onnxruntime import OnnxRuntime
from edgedyno.agent.runtimes.onnxruntime_profile import operators
from tests.agent.measure.requests import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")


def convolutions(*, quantized: bool = False, opset: int = 13) -> onnx.ModelProto:
    """Return two 3x3 convolutions of 16 channels with ReLU; in QDQ form when quantized."""
    rng = np.random.default_rng(0)
    nodes, constants = [], []
    name, channels = "x", 3

    def constant(label: str, array: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(array), label))
        return label

    def round_trip(source: str, dtype: Any) -> str:
        scale = constant(f"{source}_scale", np.float32(0.05))
        zero = constant(f"{source}_zero", dtype(0))
        nodes.append(helper.make_node("QuantizeLinear", [source, scale, zero], [f"{source}_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{source}_q", scale, zero], [f"{source}_d"]))
        return f"{source}_d"

    for layer in range(2):
        weight = constant(f"w{layer}", rng.standard_normal((16, channels, 3, 3)).astype(np.float32) / 9)
        if quantized:
            name = round_trip(name, np.uint8)
            weight = round_trip(weight, np.int8)
        nodes.append(helper.make_node("Conv", [name, weight], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        name, channels = f"r{layer}", 16
    if quantized:
        name = round_trip(name, np.uint8)
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 16, 64, 64])],
        constants,
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def load(model: onnx.ModelProto | bytes, folder: Path) -> OnnxRuntime:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    runtime = OnnxRuntime()
    runtime.load(LoadOptions(str(path), 1, 1, str(folder)))
    return runtime


def precision(model: onnx.ModelProto, folder: Path) -> tuple[str, str]:
    runtime = load(model, folder)
    runtime.bind([np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)])
    found = runtime.effective_precision()
    assert [path.name for path in folder.iterdir()] == ["model.onnx"], "the profile was left behind"
    runtime.close()
    return found


def test_probe_runs_the_tiny_model() -> None:
    found = OnnxRuntime().probe()
    assert found.available, found.reason
    assert found.formats == ("onnx",)


def test_bound_inputs_give_the_outputs_of_a_plain_run(tmp_path: Path) -> None:
    import onnxruntime

    model = convolutions()
    runtime = load(model, tmp_path)
    (spec,) = runtime.inputs()
    assert (spec.name, spec.dtype, spec.shape) == ("x", "float32", (1, 3, 64, 64))
    array = np.random.default_rng(1).random((1, 3, 64, 64), dtype=np.float32)
    read = runtime.bind([array])
    runtime.invoke()
    plain = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(read()[0], plain.run(None, {"x": array})[0], rtol=1e-5, atol=1e-6)


def test_effective_precision_is_what_ran(tmp_path: Path) -> None:
    single = precision(convolutions(), tmp_path)
    integer = precision(convolutions(quantized=True), tmp_path)
    assert single[0] == "fp32"
    assert "fp16 stored" not in single[1]
    assert integer[0] == "int8"


def test_profile_tells_what_each_kernel_takes(tmp_path: Path) -> None:
    runtime = load(convolutions(quantized=True), tmp_path)
    runtime.bind([np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)])
    profile = runtime.profile()
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"], "the profile was left behind"
    convolving = [each for each in profile.operators if "Conv" in each.type]
    assert [(each.type, each.precision) for each in convolving] == [("QLinearConv", "int8")] * 2
    assert {each.precision for each in profile.operators} == {"int8", "converting"}
    assert all(each.seconds > 0 for each in convolving)


def kernel(name: str, operator: str, microseconds: int) -> dict[str, Any]:
    args = {"op_name": operator, "provider": "CPUExecutionProvider", "input_type_shape": [{"float": [1]}]}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": args}


def test_first_inference_is_left_out_of_the_means() -> None:
    events = [
        {"cat": "Session", "name": "model_run", "dur": 999},
        *(kernel("a", "Conv", took) for took in (500, 20, 40)),
        *(kernel("b", "Cast", took) for took in (300, 10, 10)),
    ]
    found = operators(events, 2)
    assert [(each.name, each.type, each.precision) for each in found] == [
        ("a", "Conv", "fp32"),
        ("b", "Cast", "converting"),
    ]
    assert [each.seconds for each in found] == pytest.approx([30e-6, 10e-6])


def test_fp16_file_is_told_apart_from_fp16_arithmetic(tmp_path: Path) -> None:
    model = onnx.load(SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights too small for fp16
        half = float16.convert_float_to_float16(model, keep_io_types=True)
    runtime = load(half, tmp_path)
    runtime.bind([np.random.default_rng(0).random((1, 3, 352, 352), dtype=np.float32)])
    ran, detail = runtime.effective_precision()
    assert ran == "fp16" or (ran == "fp32" and "fp16 stored" in detail)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model.empty"),
        (b"this is not ONNX", "model.invalid"),
        (convolutions().SerializeToString()[:3000], "model.invalid"),
        (convolutions(opset=99).SerializeToString(), "model.opset"),
    ],
)
def test_bad_file_is_refused_by_name(content: bytes, code: str, tmp_path: Path) -> None:
    with pytest.raises(InferenceError) as raised:
        load(content, tmp_path)
    assert raised.value.code == code
    assert str(raised.value)


def test_unknown_operator_is_refused_by_name(tmp_path: Path) -> None:
    node = helper.make_node("Frobnicate", ["x"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    with pytest.raises(InferenceError) as raised:
        load(model, tmp_path)
    assert raised.value.code == "model.operator"
    assert "Frobnicate" in str(raised.value)
