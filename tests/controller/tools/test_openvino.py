from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.controller.tools.building import (
    Built,
    build,
    outputs,
    reference,
    sqnr_db,
    with_operator,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def variants(model: Path, folder: Path, calibration: list[Path]) -> dict[str, Built]:
    return {
        precision: build(
            "openvino", model, precision, folder, calibration=calibration if precision == "int8" else []
        )
        for precision in ("fp32", "fp16", "int8")
    }


def graph(path: Path) -> str:
    with zipfile.ZipFile(path) as bundle:
        assert bundle.namelist() == ["model.bin", "model.xml"]
        return bundle.read("model.xml").decode()


@pytest.mark.parametrize(("precision", "least_db"), [("fp32", 100), ("fp16", 50), ("int8", 25)])
def test_a_variant_computes_what_the_onnx_file_does(
    model: Path,
    variants: dict[str, Built],
    calibration: list[Path],
    tmp_path: Path,
    precision: str,
    least_db: float,
) -> None:
    built = variants[precision]
    assert built.details["tools"]["openvino"]
    tensor = np.load(calibration[0])
    for found, wanted in zip(
        outputs("openvino", built.path, tensor, tmp_path), reference(model, tensor), strict=True
    ):
        assert sqnr_db(found, wanted) > least_db


def test_int8_says_how_near_it_comes(variants: dict[str, Built]) -> None:
    assert variants["int8"].details["output_sqnr_db"] > 25


def test_weights_are_stored_as_the_precision_says(variants: dict[str, Built]) -> None:
    assert 'element_type="f16"' in graph(variants["fp16"].path)
    assert 'element_type="f16"' not in graph(variants["fp32"].path)
    assert 'element_type="i8"' in graph(variants["int8"].path)


def test_the_same_request_gives_the_same_file(
    model: Path, variants: dict[str, Built], calibration: list[Path], tmp_path: Path
) -> None:
    again = build("openvino", model, "int8", tmp_path, calibration=calibration)
    assert again.sha256 == variants["int8"].sha256
    assert str(tmp_path) not in graph(again.path)


def test_excluded_nodes_stay_in_float(
    model: Path, variants: dict[str, Built], calibration: list[Path], tmp_path: Path
) -> None:
    without = build(
        "openvino", model, "int8", tmp_path, calibration=calibration, excluded=["stem", "boxes.map"]
    )
    weights = [graph(built.path).count('element_type="i8"') for built in (variants["int8"], without)]
    assert weights == [4, 2]
    assert {"Conv_0", "Conv_0/WithoutBiases", "Conv_4"} <= set(without.details["excluded"])


@pytest.mark.long
def test_an_excluded_node_that_was_fused_away_is_left_out(
    model: Path, calibration: list[Path], tmp_path: Path
) -> None:
    built = build("openvino", model, "int8", tmp_path, calibration=calibration, excluded=["folded away"])
    assert built.details["excluded"] == []


@pytest.mark.long
def test_accuracy_control_leaves_in_float_what_costs_too_much(
    model: Path, variants: dict[str, Built], calibration: list[Path], tmp_path: Path
) -> None:
    options = {"accuracy_control": 0.0005}
    built = build("openvino", model, "int8", tmp_path, calibration=calibration, options=options)
    found = built.details["accuracy_control"]
    assert "no labels" in found["metric"]
    assert graph(built.path).count('element_type="i8"') < graph(variants["int8"].path).count(
        'element_type="i8"'
    )


def test_int8_without_images_is_refused(model: Path, tmp_path: Path) -> None:
    assert build("openvino", model, "int8", tmp_path).failure["code"] == "variant.no-calibration"


def test_an_operator_that_openvino_lacks_is_named(tmp_path: Path) -> None:
    model = with_operator(tmp_path / "odd.onnx", "Frobnicate", "org.example")
    failure = build("openvino", model, "fp32", tmp_path).failure
    assert failure["code"] == "variant.operator"
    assert "Frobnicate" in failure["text"]
