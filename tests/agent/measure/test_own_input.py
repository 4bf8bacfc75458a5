"""A variant with an input and an output of its own is prepared and decoded as it says, beside one without."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.manifest import Variant
from edgedyno.core.predictions import read_predictions
from edgedyno.core.run import Finished
from tests.agent.measure.requests import FASTESTDET, MODEL, Bench, onnxruntime

if TYPE_CHECKING:
    from edgedyno.core.result import Predictions, Result


def predictions(bench: Bench, result: Result) -> Predictions:
    files = {
        name: path
        for event in bench.events
        if isinstance(event, Finished)
        for name, path in event.files.items()
    }
    data = Path(files[result.predictions_sha256 or ""]).read_bytes()
    return read_predictions(data)


def test_each_variant_sees_the_images_in_its_own_way(tmp_path: Path) -> None:
    """The copy takes channels that the profile gives it last and turns them, and keeps sure boxes only."""
    bench = Bench(tmp_path)
    copy = tmp_path / "copy.onnx"
    # Another producer_version (field 3): another file, the same model.
    copy.write_bytes(FASTESTDET.read_bytes() + b"\x1a\x01x")
    own = Variant(
        "fp16",
        "onnx",
        bench.add(copy),
        name="own",
        input=msgspec.structs.replace(MODEL.input, layout="NHWC"),
        output=msgspec.structs.replace(MODEL.output, score_threshold=0.5),
    )
    plain = Variant("fp32", "onnx", bench.add(FASTESTDET))
    request = bench.request([plain, own], runtimes=[onnxruntime()], images=3)
    sweep = msgspec.structs.replace(request.manifest.sweep, precisions=["fp32", "fp16"])
    manifest = msgspec.structs.replace(request.manifest, sweep=sweep)
    results = bench.run(msgspec.structs.replace(request, manifest=manifest))
    assert {result.status for result in results} == {"ok"}, [result.failure for result in results]
    seen = {result.precision: predictions(bench, result) for result in results}
    assert seen["fp32"].preparation_sha256 == seen["fp16"].preparation_sha256
    for all_boxes, sure in zip(seen["fp32"].images, seen["fp16"].images, strict=True):
        assert [each for each in all_boxes.detections if each.score > 0.5] == sure.detections
    assert sum(len(image.detections) for image in seen["fp16"].images) > 0
    assert len(seen["fp32"].images[0].detections) > len(seen["fp16"].images[0].detections)
