"""Every runtime in every precision against the FP32 model in ONNX Runtime, on the same inputs, in real workers.

The bounds of nearness are of the signal to noise ratio over all outputs together, worst of three images. FP32
differs by the order of sums and by fast convolutions alone (seen: 99 to 113 dB). Weights rounded to FP16 give 35 to
41 dB on these models; MNN's are less exact, 31 to 35. INT8's bounds are its model's.
docs/conformance.md has the table of what was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from edgedyno.core.manifest import Variant
from tests.conformance import here
from tests.conformance.accuracy import sample_score
from tests.conformance.fidelity import Nearness, nearness
from tests.conformance.here import RUNTIMES, SIMULATED, Built

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.job import Precision
    from tests.conformance.here import Workshop

# What the zoo records for the 17 sample images.
RECORDED = {"fastestdet": 0.238, "yolox_nano": 0.402}
TFLITE = [name for name in RUNTIMES if name in ("litert", "tflite")]
LEAST_DB = {"fp32": 90.0, "fp16": 30.0}
LEAST_COSINE = {"fp32": 0.999999, "fp16": 0.9995}
TOLERANCE = 0.005


class Loss(NamedTuple):
    """What INT8 may lose of a model."""

    least_db: float
    most_drop: float
    """Of the score on the sample images."""


INT8 = {"fastestdet": Loss(4.0, 0.05), "yolox_nano_float_stem": Loss(8.0, 0.08)}


def seen(workshop: Workshop, folder: Path, model: str, runtime: str, precision: Precision) -> Nearness:
    built = workshop.build(model, runtime, precision)
    return nearness(workshop, workshop.resolved(model), built, folder)


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name not in (*TFLITE, "tvm")])
def test_fastestdet_computes_what_onnx_runtime_does(workshop: Workshop, tmp_path: Path, runtime: str) -> None:
    found = seen(workshop, tmp_path, "fastestdet", runtime, "fp32")
    assert found.sqnr_db >= LEAST_DB["fp32"]
    assert found.cosine >= LEAST_COSINE["fp32"]


@pytest.mark.zoo
@pytest.mark.parametrize("runtime", TFLITE)
def test_a_tflite_file_from_elsewhere_stays_near(
    workshop: Workshop, zoo: Path, tmp_path: Path, runtime: str
) -> None:
    """The zoo's file: FP16 weights, by another converter. Its builder takes gigabytes and stays with the long tests."""
    path = zoo / "models/yolox_nano/yolox_nano_416_fp16.tflite"
    variant = Variant("fp16", "tflite", workshop.store.add_file(path))
    built = Built(variant, workshop.cell(variant, here.runtime(runtime)), workshop.launch(variant))
    found = nearness(workshop, workshop.resolved("yolox_nano"), built, tmp_path)
    assert found.sqnr_db >= LEAST_DB["fp16"]


@pytest.mark.long
@pytest.mark.timeout(
    1200
)  # TVM takes 4 s for each inference of YOLOX-nano in FP16; TFLite is built for minutes
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("model", RECORDED)
def test_floats_stay_near_and_score_what_is_recorded(
    workshop: Workshop, tmp_path: Path, model: str, precision: Precision, runtime: str
) -> None:
    found = seen(workshop, tmp_path, model, runtime, precision)
    score = sample_score(workshop, tmp_path, model, runtime, precision)
    assert found.sqnr_db >= LEAST_DB[precision]
    assert found.cosine >= LEAST_COSINE[precision]
    assert score == pytest.approx(RECORDED[model], abs=TOLERANCE)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("runtime", [*RUNTIMES, *SIMULATED])
@pytest.mark.parametrize("model", INT8)
def test_int8_stays_within_its_models_bound(
    workshop: Workshop, tmp_path: Path, model: str, runtime: str
) -> None:
    found = seen(workshop, tmp_path, model, runtime, "int8")
    score = sample_score(workshop, tmp_path, model, runtime, "int8")
    assert found.sqnr_db >= INT8[model].least_db
    assert score >= RECORDED[model.removesuffix("_float_stem")] - INT8[model].most_drop


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_rknns_plain_recipe_runs_in_integers(workshop: Workshop, tmp_path: Path) -> None:
    """The builder's bundle in the simulator, by the worker: effective precision and accuracy of all 17 images."""
    found = seen(workshop, tmp_path, "yolox_nano", "rknn-simulator", "int8")
    assert found.ran == "int8"
    sample_score(workshop, tmp_path, "yolox_nano", "rknn-simulator", "int8")
