"""A race between runtimes in different environments, by the real runner on real models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.agent.environments import probe_all
from edgedyno.core.manifest import Variant
from edgedyno.core.predictions import read_predictions
from edgedyno.core.profile import InputSpec, ModelProfile, OutputSpec
from edgedyno.core.run import Environment, Finished
from tests.agent.measure.requests import FASTESTDET, Bench
from tests.agent.runtimes import foreign

if TYPE_CHECKING:
    from edgedyno.core.board import RuntimeInfo
    from edgedyno.core.result import Result

YOLOX = ModelProfile(
    name="yolox_nano",
    task="detect",
    source="yolox_nano.onnx",
    input=InputSpec(size=(416, 416), colour="BGR", resize="letterbox-topleft", pad=114, std=(1.0, 1.0, 1.0)),
    output=OutputSpec(decoder="yolox", strides=[8, 16, 32]),
)


def environments() -> list[Environment]:
    return [Environment("default", sys.executable), Environment("others", str(foreign.interpreter()))]


def race(
    bench: Bench, variant: Variant, runtimes: list[RuntimeInfo], model: ModelProfile | None
) -> list[Result]:
    request = bench.request([variant], runtimes=[info for info in runtimes if info.available], images=3)
    manifest = msgspec.structs.replace(request.manifest, model=model or request.manifest.model)
    return bench.run(msgspec.structs.replace(request, manifest=manifest, environments=environments()))


def boxes(bench: Bench, result: Result) -> list[int]:
    """Return how many sure detections there are in each image."""
    files = {
        name: path
        for event in bench.events
        if isinstance(event, Finished)
        for name, path in event.files.items()
    }
    data = Path(files[result.predictions_sha256 or ""]).read_bytes()
    predictions = read_predictions(data)
    return [sum(each.score > 0.5 for each in image.detections) for image in predictions.images]


def test_openvino_and_onnx_runtime_see_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    variant = Variant("fp32", "onnx", bench.add(FASTESTDET))
    runtimes = [info for info in probe_all(environments()) if info.name in ("openvino", "onnxruntime")]
    results = {each.runtime: each for each in race(bench, variant, runtimes, None)}
    assert set(results) == {"openvino", "onnxruntime"}
    for result in results.values():
        assert (result.status, result.effective_precision) == ("ok", "fp32"), result.failure
        assert result.latency_seconds is not None
        assert not any("outside the core set" in reason for reason in result.validity.reasons)
    assert boxes(bench, results["openvino"]) == boxes(bench, results["onnxruntime"])
    assert sum(boxes(bench, results["openvino"])) > 0


@pytest.mark.zoo
def test_litert_runs_a_trial(zoo: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    file = bench.add(zoo / "models/yolox_nano/yolox_nano_416_fp16.tflite")
    (result,) = race(bench, Variant("fp32", "tflite", file), probe_all(environments()), YOLOX)
    assert (result.runtime, result.status, result.effective_precision) == ("litert", "ok", "fp32")
    assert sum(boxes(bench, result)) > 0
