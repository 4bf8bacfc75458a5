from __future__ import annotations

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
def int8(model: Path, folder: Path, calibration: list[Path]) -> Built:
    return build("tflite", model, "int8", folder, calibration=calibration)


def nearness(model: Path, built: Built, calibration: list[Path], folder: Path) -> list[float]:
    tensor = np.load(calibration[0])
    found, wanted = outputs("tflite", built.path, tensor, folder), reference(model, tensor)
    return [sqnr_db(ours, theirs) for ours, theirs in zip(found, wanted, strict=True)]


def test_int8_takes_integers_and_gives_floats(
    model: Path, int8: Built, calibration: list[Path], folder: Path
) -> None:
    assert (int8.details["input"], int8.details["output"], int8.details["input_layout"]) == (
        "int8",
        "float32",
        "NHWC",
    )
    assert min(nearness(model, int8, calibration, folder)) > 20


@pytest.mark.long
def test_excluded_nodes_stay_in_float(
    model: Path, int8: Built, calibration: list[Path], folder: Path
) -> None:
    excluded = ["stem", "stem.relu", "body", "body.relu", "boxes.map", "boxes"]
    without = build("tflite", model, "int8", folder, calibration=calibration, excluded=excluded)
    assert without.details["excluded"] == excluded
    plain = nearness(model, int8, calibration, folder)[1]
    # The input stays INT8, and its rounding is all that is left.
    assert nearness(model, without, calibration, folder)[1] > plain + 4


@pytest.mark.long
@pytest.mark.parametrize(
    ("precision", "options", "least_db"),
    [("fp32", {}, 90), ("fp16", {}, 50), ("int8", {"scheme": "dynamic"}, 25)],
)
def test_a_variant_computes_what_the_onnx_file_does(
    model: Path,
    calibration: list[Path],
    folder: Path,
    precision: str,
    options: dict[str, str],
    least_db: float,
) -> None:
    built = build("tflite", model, precision, folder, options=options)
    assert min(nearness(model, built, calibration, folder)) > least_db


@pytest.mark.long
def test_the_same_request_gives_the_same_file(
    model: Path, int8: Built, calibration: list[Path], folder: Path
) -> None:
    assert build("tflite", model, "int8", folder, calibration=calibration).sha256 == int8.sha256


def test_int8_without_images_is_refused(model: Path, folder: Path) -> None:
    assert build("tflite", model, "int8", folder).failure["code"] == "variant.no-calibration"


def test_an_operator_that_onnx2torch_lacks_is_named(folder: Path) -> None:
    model = with_operator(folder / "odd.onnx", "Frobnicate", "org.example")
    failure = build("tflite", model, "fp32", folder).failure
    assert failure["code"] == "variant.operator"
    assert "Frobnicate" in failure["text"]
