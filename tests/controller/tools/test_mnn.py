from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.controller.tools.building import (
    build,
    images,
    outputs,
    reference,
    sqnr_db,
    with_operator,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("precision", "options", "least_db"),
    [("fp32", {}, 90), ("fp16", {}, 50), ("int8", {"scheme": "dynamic"}, 30)],
)
def test_a_variant_computes_what_the_onnx_file_does(
    model: Path, tmp_path: Path, precision: str, options: dict[str, str], least_db: float
) -> None:
    tensor = np.load(images(tmp_path, 1)[0])
    built = build("mnn", model, precision, tmp_path, options=options)
    assert built.details["activations"] == "float"
    for found, wanted in zip(
        outputs("mnn", built.path, tensor, tmp_path), reference(model, tensor), strict=True
    ):
        assert sqnr_db(found, wanted) > least_db


def test_the_same_request_gives_the_same_file(model: Path, tmp_path: Path) -> None:
    first, second = (build("mnn", model, "fp16", tmp_path) for _ in range(2))
    assert first.sha256 == second.sha256
    assert first.sha256 != build("mnn", model, "fp32", tmp_path).sha256


def test_int8_leaves_out_what_is_excluded_and_says_how_near_it_comes(model: Path, tmp_path: Path) -> None:
    calibration = images(tmp_path)
    plain = build("mnn", model, "int8", tmp_path, calibration=calibration)
    without = build("mnn", model, "int8", tmp_path, calibration=calibration, excluded=["boxes.map"])
    assert without.details["excluded"] == ["boxes.map"]
    assert without.sha256 != plain.sha256
    assert without.details["output_sqnr_db"] == max(without.details["tried_images_db"].values())
    tensor = np.load(calibration[0])
    for found, wanted in zip(
        outputs("mnn", without.path, tensor, tmp_path), reference(model, tensor), strict=True
    ):
        assert sqnr_db(found, wanted) > 20


@pytest.mark.long
def test_int8_is_the_same_twice(model: Path, tmp_path: Path) -> None:
    first, second = (build("mnn", model, "int8", tmp_path, calibration=images(tmp_path)) for _ in range(2))
    assert first.sha256 == second.sha256


def test_int8_without_images_is_refused(model: Path, tmp_path: Path) -> None:
    assert build("mnn", model, "int8", tmp_path).failure["code"] == "variant.no-calibration"


def test_an_operator_that_mnn_lacks_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    model = with_operator(tmp_path / "odd.onnx", "Frobnicate", "org.example")
    assert build("mnn", model, "fp32", tmp_path).failure["code"] == "variant.operator"
