"""Every runtime in every precision against the FP32 model in ONNX Runtime, on the same inputs, in real workers.

The bounds are of the signal to noise ratio over all outputs together, worst of three images. FP32 differs by the
order of sums and by fast convolutions alone (seen: 100 to 113 dB). Weights rounded to FP16 give 35.6 to 36.3 dB on
these models, in every runtime alike. INT8's bound is its model's: FastestDet has 5.7 to 6.1 dB, and keeps its
accuracy to 2 points of mAP even so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.core.manifest import Variant
from tests.conformance import here
from tests.conformance.fidelity import nearness
from tests.conformance.here import RUNTIMES, Built

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.job import Precision
    from tests.conformance.here import Workshop

MODELS = ["fastestdet", "yolox_nano"]
TFLITE = [name for name in RUNTIMES if name in ("litert", "tflite")]
LEAST_DB = {"fp32": 90.0, "fp16": 33.0}
LEAST_INT8_DB = {"fastestdet": 4.5}
LEAST_COSINE = {"fp32": 0.999999, "fp16": 0.9997, "int8": 0.82}


def check(
    workshop: Workshop, folder: Path, model: str, runtime: str, precision: Precision, least_db: float
) -> None:
    built = workshop.build(model, runtime, precision)
    found = nearness(workshop, workshop.resolved(model), built, folder)
    place = f"{model} {precision} as {built.variant.format} on {runtime}: {found.sqnr_db:.1f} dB, {found.cosine:.6f}"
    assert found.sqnr_db >= least_db, place
    assert found.cosine >= LEAST_COSINE[precision], place


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name not in TFLITE])
def test_fastestdet_computes_what_onnx_runtime_does(workshop: Workshop, tmp_path: Path, runtime: str) -> None:
    check(workshop, tmp_path, "fastestdet", runtime, "fp32", LEAST_DB["fp32"])


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
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("model", MODELS)
def test_floats_stay_near(
    workshop: Workshop, tmp_path: Path, model: str, precision: Precision, runtime: str
) -> None:
    check(workshop, tmp_path, model, runtime, precision, LEAST_DB[precision])


@pytest.mark.long
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("model", LEAST_INT8_DB)
def test_int8_stays_within_its_models_bound(
    workshop: Workshop, tmp_path: Path, model: str, runtime: str
) -> None:
    check(workshop, tmp_path, model, runtime, "int8", LEAST_INT8_DB[model])
