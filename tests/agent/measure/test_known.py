"""The self-test on the board, in real workers: each variant's result says what it made of known images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import onnxruntime as ort
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from edgedyno.core.job import Sweep
from edgedyno.core.manifest import ExpectedObject, Known, Manifest, Variant
from edgedyno.core.vision import prepare
from tests import faults
from tests.agent.measure.requests import FASTESTDET, MODEL, SAMPLES, Bench, onnxruntime

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.result import Result
    from edgedyno.core.run import RunRequest

IMAGES = SAMPLES / "data/coco_ccby/images"
EXPECT = {
    "000000160012.jpg": [(53, "pizza", (100, 200, 521, 260)), (53, "pizza", (394, 155, 236, 78))],
    "000000214753.jpg": [(17, "horse", (323, 167, 151, 155))],
    "000000423617.jpg": [(5, "bus", (150, 118, 292, 221))],
}


class Pictures(CalibrationDataReader):  # type: ignore[misc]
    """A few images to calibrate with."""

    def __init__(self, count: int) -> None:
        folder = SAMPLES / "data/coco_cc_calib/images"
        paths = sorted(folder.glob("*.jpg"))[:count]
        self._left = [prepare(path.read_bytes(), MODEL.input).tensor for path in paths]

    def get_next(self) -> Any:
        return {"input.1": self._left.pop()} if self._left else None


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FastestDet in INT8, its last layers in float as its profile has it."""
    folder = tmp_path_factory.mktemp("int8")
    quant_pre_process(str(FASTESTDET), str(folder / "ready.onnx"), skip_symbolic_shape=True)
    quantize_static(
        str(folder / "ready.onnx"),
        str(folder / "int8.onnx"),
        Pictures(8),
        quant_format=QuantFormat.QDQ,
        reduce_range=True,
        per_channel=False,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=["Conv_253", "Conv_257", "Conv_260"],
    )
    assert ort.InferenceSession(str(folder / "int8.onnx"), providers=["CPUExecutionProvider"])
    return folder / "int8.onnx"


def known(bench: Bench) -> list[Known]:
    return [
        Known(
            bench.add(IMAGES / name),
            [ExpectedObject(index, label, box, 0.5, 0.5) for index, label, box in objects],
        )
        for name, objects in EXPECT.items()
    ]


def changed(request: RunRequest, **changes: Any) -> RunRequest:
    manifest: Manifest = msgspec.structs.replace(request.manifest, **changes)
    return msgspec.structs.replace(request, manifest=manifest)


def request(bench: Bench, variants: dict[str, Path], *, images: int = 1, **changes: Any) -> RunRequest:
    made: list[Variant] = []
    for precision, path in variants.items():
        kind: Any = precision
        made.append(Variant(kind, "onnx", bench.add(path)))
    sweep = Sweep(precisions=[each.precision for each in made], threads=[1])
    plain = bench.request(made, runtimes=[onnxruntime()], images=images, sweep=sweep)
    return changed(plain, known=known(bench), **changes)


def by_precision(results: list[Result]) -> dict[str, Result]:
    return {result.precision: result for result in results}


def test_right_variants_pass_and_a_clipped_one_is_named(tmp_path: Path, int8: Path) -> None:
    bench = Bench(tmp_path)
    clipped = tmp_path / "clipped.onnx"
    clipped.write_bytes(faults.other_ranges(int8.read_bytes(), 0.1))
    results = by_precision(bench.run(request(bench, {"int8": clipped, "fp16": int8, "fp32": FASTESTDET})))
    tests = {precision: result.selftest for precision, result in results.items()}
    assert tests["fp32"] is not None
    assert (tests["fp32"].passed, tests["fp32"].images) == (True, 3)
    assert "4 of 4 expected objects in 3 known images" in tests["fp32"].text
    assert tests["fp16"] is not None
    assert tests["fp16"].passed
    assert tests["int8"] is not None
    assert tests["int8"].looks_like == "calibration.clipped"
    assert "% of what FP32's do on the same image" in tests["int8"].text


def test_a_wrong_profile_is_said_of_each_variant(tmp_path: Path, int8: Path) -> None:
    bench = Bench(tmp_path)
    model = msgspec.structs.replace(MODEL, input=msgspec.structs.replace(MODEL.input, colour="RGB"))
    results = bench.run(request(bench, {"fp32": FASTESTDET, "int8": int8}, model=model))
    for result in results:
        assert result.selftest is not None
        assert result.selftest.looks_like == "input.colour-order", result.selftest.text
        assert result.selftest.changes == ["input.colour: RGB → BGR"]


def test_what_fp32_saw_outlives_the_runner(tmp_path: Path, int8: Path) -> None:
    """The second run has FP32's pass in its journal, and its references in the work folder."""
    bench = Bench(tmp_path)
    clipped = tmp_path / "clipped.onnx"
    clipped.write_bytes(faults.other_ranges(int8.read_bytes(), 0.1))
    both = request(bench, {"fp32": FASTESTDET, "int8": clipped})
    first = changed(both, sweep=msgspec.structs.replace(both.manifest.sweep, precisions=["fp32"]))
    bench.run(first)
    second = changed(both, sweep=msgspec.structs.replace(both.manifest.sweep, precisions=["int8"]))
    [result] = bench.run(second)
    assert result.selftest is not None
    assert result.selftest.looks_like == "calibration.clipped"


def test_without_known_images_fp32_says_what_to_see(tmp_path: Path, int8: Path) -> None:
    bench = Bench(tmp_path)
    dead = tmp_path / "dead.onnx"
    dead.write_bytes(faults.dead(FASTESTDET.read_bytes()))
    plain = request(bench, {"fp32": FASTESTDET, "fp16": int8, "int8": dead}, images=8)
    results = by_precision(bench.run(changed(plain, known=[])))
    tests = {precision: result.selftest for precision, result in results.items()}
    assert tests["fp32"] is not None
    assert (tests["fp32"].passed, tests["fp32"].images) == (True, 8)
    assert tests["fp16"] is not None
    assert tests["fp16"].passed, tests["fp16"].text
    assert "things that FP32 is sure of" in tests["fp16"].text
    assert tests["int8"] is not None
    assert tests["int8"].looks_like == "output.constant"


def test_with_nothing_to_show_the_reason_is_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plain = request(bench, {"int8": FASTESTDET})
    [result] = bench.run(changed(plain, known=[]))
    assert result.selftest is None
    assert "no known images (its profile names none)" in (result.selftest_reason or "")


def test_a_known_image_that_was_not_handed_over_is_said(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plain = request(bench, {"fp32": FASTESTDET})
    missing = plain.manifest.known[0].file.sha256
    files = {name: path for name, path in plain.files.items() if name != missing}
    [result] = bench.run(msgspec.structs.replace(plain, files=files))
    assert result.status == "ok"
    assert result.selftest is None
    assert (result.selftest_reason or "").startswith("selftest.image: ")
