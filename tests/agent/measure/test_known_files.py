"""The self-test on public files that are known to be bad, in LiteRT: what is wrong with each is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edgedyno.agent.measure.known import SelfTests
from edgedyno.agent.measure.supervisor import Worker
from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import find_profile
from edgedyno.controller.lab.selftest.knowing import resolve_known
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import Manifest, Variant
from edgedyno.core.profile import ModelProfile
from tests import faults
from tests.conformance.here import Workshop, runtime

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.result import SelfTest

FULL_INTEGER = "yolov8n/yolov8n_640_full_integer.tflite"


class Shelf:
    """Variants of one model, tested one after the other as the accuracy pass does."""

    def __init__(self, folder: Path, name: str, **spec: Any) -> None:
        self._shop = Workshop(folder)
        found = find_profile(name, ModelProfile, base=folder)
        self.profile = found.profile
        for change in spec.values():
            self.profile = change(self.profile)
        known = resolve_known(
            self.profile, class_names("coco80", base=found.base), base=found.base, store=self._shop.store
        )
        self._manifest = Manifest("j", "e", self.profile, [], Sweep(), Measure(), known=known)
        files = {each.file.sha256: str(self._shop.store.path(each.file.sha256)) for each in known}
        self._tests = SelfTests(self._manifest, files, folder / "selftests")

    def test(self, path: Path, kind: str, precision: Any, runtime_name: str) -> SelfTest:
        variant = Variant(precision, kind, self._shop.store.add_file(path))
        with Worker(self._shop.cell(variant, runtime(runtime_name)), self._shop.launch(variant)) as worker:
            selftest, reason = self._tests.run(self._shop.cell(variant, runtime(runtime_name)), worker)
        assert selftest is not None, reason
        return selftest


@pytest.mark.zoo
def test_the_public_int8_yolox_clips_its_boxes(tmp_path: Path, zoo: Path) -> None:
    """Its output tensor holds 0 to 0.996, and boxes in it go from -2 to 3: 0.032 mAP in place of 0.322."""
    shelf = Shelf(tmp_path, "yolox_nano")
    folder = zoo / "models/yolox_nano"
    assert shelf.test(folder / "yolox_nano_416_fp32.onnx", "onnx", "fp32", "onnxruntime").passed
    found = shelf.test(folder / "yolox_nano_416_int8_floatio.tflite", "tflite", "int8", "litert")
    assert found.looks_like == "calibration.clipped"
    assert "they end at 0 and 0.996" in found.text


@pytest.mark.zoo
def test_a_float_image_in_an_integer_input(tmp_path: Path, zoo: Path) -> None:
    """As if x / 255 were cast to int8, scale and zero point left aside: all pixels fall onto two levels."""
    fraction = faults.with_output(boxes="fraction")
    right = Shelf(tmp_path / "right", "yolov8", layout=faults.with_input(layout="NHWC"), boxes=fraction)
    assert right.test(zoo / "models" / FULL_INTEGER, "tflite", "int8", "litert").passed
    scale, zero = 0.01865844801068306, -14
    cast = faults.with_input(layout="NHWC", mean=(255.0 * zero,) * 3, std=(255.0 / scale,) * 3)
    wrong = Shelf(tmp_path / "wrong", "yolov8", layout=cast, boxes=fraction)
    found = wrong.test(zoo / "models" / FULL_INTEGER, "tflite", "int8", "litert")
    assert found.looks_like == "input.dtype"
    assert "falls onto 2 of its 256 levels" in found.text
    raw = faults.with_input(layout="NHWC", std=(1.0,) * 3)
    beyond = Shelf(tmp_path / "beyond", "yolov8", layout=raw, boxes=fraction)
    found = beyond.test(zoo / "models" / FULL_INTEGER, "tflite", "int8", "litert")
    assert found.looks_like == "input.dtype"
    assert "lie beyond that" in found.text
    assert msgspec.json.encode(found)
