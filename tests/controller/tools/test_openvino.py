from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.controller.tools.building import (
    build,
    images,
    outputs,
    reference,
    sqnr_db,
    two_heads,
    with_operator,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return two_heads(tmp_path / "model.onnx")


def graph(path: Path) -> str:
    with zipfile.ZipFile(path) as bundle:
        assert bundle.namelist() == ["model.bin", "model.xml"]
        return bundle.read("model.xml").decode()


@pytest.mark.parametrize(("precision", "least_db"), [("fp32", 100), ("fp16", 50), ("int8", 25)])
def test_a_variant_computes_what_the_onnx_file_does(
    model: Path, tmp_path: Path, precision: str, least_db: float
) -> None:
    calibration = images(tmp_path)
    built = build(
        "openvino", model, precision, tmp_path, calibration=calibration if precision == "int8" else []
    )
    assert built.details["tools"]["openvino"]
    tensor = np.load(calibration[0])
    for found, wanted in zip(
        outputs("openvino", built.path, tensor, tmp_path), reference(model, tensor), strict=True
    ):
        assert sqnr_db(found, wanted) > least_db


def test_weights_are_stored_as_the_precision_says(model: Path, tmp_path: Path) -> None:
    assert 'element_type="f16"' in graph(build("openvino", model, "fp16", tmp_path).path)
    assert 'element_type="f16"' not in graph(build("openvino", model, "fp32", tmp_path).path)
    built = build("openvino", model, "int8", tmp_path, calibration=images(tmp_path))
    assert 'element_type="i8"' in graph(built.path)


def test_the_same_request_gives_the_same_file(model: Path, tmp_path: Path) -> None:
    first, second = (
        build("openvino", model, "int8", tmp_path, calibration=images(tmp_path)) for _ in range(2)
    )
    assert first.sha256 == second.sha256
    assert str(tmp_path) not in graph(first.path)


def test_excluded_nodes_stay_in_float(model: Path, tmp_path: Path) -> None:
    calibration = images(tmp_path)
    everything = build("openvino", model, "int8", tmp_path, calibration=calibration)
    without = build(
        "openvino", model, "int8", tmp_path, calibration=calibration, excluded=["stem", "boxes.map"]
    )
    weights = [graph(built.path).count('element_type="i8"') for built in (everything, without)]
    assert weights == [4, 2]
    assert {"Conv_0", "Conv_0/WithoutBiases", "Conv_4"} <= set(without.details["excluded"])


def test_an_excluded_node_that_was_fused_away_is_left_out(model: Path, tmp_path: Path) -> None:
    built = build("openvino", model, "int8", tmp_path, calibration=images(tmp_path), excluded=["folded away"])
    assert built.details["excluded"] == []


def test_accuracy_control_leaves_in_float_what_costs_too_much(model: Path, tmp_path: Path) -> None:
    calibration = images(tmp_path)
    options = {"accuracy_control": 0.0005}
    built = build("openvino", model, "int8", tmp_path, calibration=calibration, options=options)
    found = built.details["accuracy_control"]
    assert "no labels" in found["metric"]
    plain = build("openvino", model, "int8", tmp_path, calibration=calibration)
    assert graph(built.path).count('element_type="i8"') < graph(plain.path).count('element_type="i8"')


def test_int8_without_images_is_refused(model: Path, tmp_path: Path) -> None:
    assert build("openvino", model, "int8", tmp_path).failure["code"] == "variant.no-calibration"


def test_an_operator_that_openvino_lacks_is_named(tmp_path: Path) -> None:
    model = with_operator(tmp_path / "odd.onnx", "Frobnicate", "org.example")
    failure = build("openvino", model, "fp32", tmp_path).failure
    assert failure["code"] == "variant.operator"
    assert "Frobnicate" in failure["text"]
