from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedyno.controller.lab.variants.tools.rknn_graph import fold_pads
from edgedyno.controller.lab.variants.tools.rknn_hybrid import keep_in_float
from tests.controller.tools.building import SIDE, build, images, outputs, reference, sqnr_db, two_heads

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """custom_quantize_layers: {}
quantize_parameters:
    stem:
        qtype: asym
        min:
        -   0.0
    'onnx::Odd''s_sw':
        qtype: asym
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return two_heads(tmp_path / "model.onnx")


def padded(operator: str, around: list[int], **attributes: object) -> onnx.ModelProto:
    weights = {"w": np.ones((3, 3, 3, 3), np.float32), "pads": np.array(around, np.int64)}
    inputs = ["padded", "w"] if operator == "Conv" else ["padded"]
    nodes = [
        helper.make_node("Pad", ["image", "pads"], ["padded"]),
        helper.make_node(operator, inputs, ["out"], kernel_shape=[3, 3], **attributes),
    ]
    entry = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [entry], [out], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("operator", ["Conv", "AveragePool"])
def test_pads_of_zeros_become_the_readers_own(operator: str, tmp_path: Path) -> None:
    model = padded(operator, [0, 0, 1, 0, 0, 0, 2, 1], strides=[2, 2])
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    onnx.save(model, before)
    assert fold_pads(model) == 1
    onnx.save(model, after)
    assert [node.op_type for node in model.graph.node] == [operator]
    tensor = np.random.default_rng(3).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    np.testing.assert_allclose(
        reference(after, tensor)[0], reference(before, tensor)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("operator", "pads", "attributes"),
    [
        ("MaxPool", [0, 0, 1, 1, 0, 0, 1, 1], {}),
        ("Conv", [0, 0, -1, 0, 0, 0, 0, 0], {}),
        ("AveragePool", [0, 0, 1, 1, 0, 0, 1, 1], {"pads": [1, 1, 1, 1]}),
        ("AveragePool", [0, 0, 1, 1, 0, 0, 1, 1], {"ceil_mode": 1}),
    ],
)
def test_other_pads_are_left_alone(operator: str, pads: list[int], attributes: dict[str, object]) -> None:
    model = padded(operator, pads, **attributes)
    assert fold_pads(model) == 0
    assert [node.op_type for node in model.graph.node] == ["Pad", operator]


def test_the_toolkits_file_is_told_what_stays_in_float(tmp_path: Path) -> None:
    path = tmp_path / "simulator.cfg"
    path.write_text(CONFIG, "utf-8")
    assert keep_in_float(path, ["stem", "folded away"]) == ["stem"]
    assert path.read_text("utf-8").startswith(
        "custom_quantize_layers:\n    'stem': float16\nquantize_parameters:"
    )


def test_fp32_is_refused_and_so_is_int8_without_images(model: Path, tmp_path: Path) -> None:
    assert build("rknn", model, "fp32", tmp_path).failure["code"] == "variant.precision"
    assert build("rknn", model, "int8", tmp_path).failure["code"] == "variant.no-calibration"


@pytest.mark.long
def test_int8_runs_in_the_simulator_from_its_bundle(model: Path, tmp_path: Path) -> None:
    calibration = images(tmp_path)
    built = build("rknn", model, "int8", tmp_path, calibration=calibration, excluded=["boxes.map"])
    assert built.details["target_platform"] == "rk3588"
    with zipfile.ZipFile(built.path) as bundle:
        assert json.loads(bundle.read("simulator.json"))["input"] == "image"
        assert bundle.read("model.rknn")[:4] == b"RKNN"
        config = bundle.read("simulator.cfg").decode()
    assert [f"'{name}': float16" in config for name in built.details["excluded"]] == [True]
    tensor = np.load(calibration[0])
    for found, wanted in zip(
        outputs("rknn", built.path, tensor, tmp_path), reference(model, tensor), strict=True
    ):
        assert sqnr_db(found, wanted) > 15


@pytest.mark.long
def test_fp16_runs_in_the_simulator_from_its_bundle(model: Path, tmp_path: Path) -> None:
    tensor = np.load(images(tmp_path, 1)[0])
    built = build("rknn", model, "fp16", tmp_path)
    for found, wanted in zip(
        outputs("rknn", built.path, tensor, tmp_path), reference(model, tensor), strict=True
    ):
        assert sqnr_db(found, wanted) > 45


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_same_request_gives_the_same_file(model: Path, tmp_path: Path, precision: str) -> None:
    calibration = images(tmp_path) if precision == "int8" else []
    first, second = (build("rknn", model, precision, tmp_path, calibration=calibration) for _ in range(2))
    assert first.sha256 == second.sha256
