"""Agreement with FP32 without labels: by hand-made detections, and filled into results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.controller.lab.scoring import score_results
from edgedyno.controller.lab.scoring.agreement import agreement, sight_of
from edgedyno.core.errors import ConfigError
from edgedyno.core.result import (
    Conditions,
    Detection,
    Fidelity,
    ImagePrediction,
    OutputFidelity,
    Predictions,
    Result,
    Validity,
)

if TYPE_CHECKING:
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.controller.lab.scoring.agreement import Sight
    from edgedyno.core.manifest import ResolvedJob

FP32, INT8, PREPARATION = "a" * 64, "b" * 64, "c" * 64


def sight(images: list[ImagePrediction], preparation: str = PREPARATION) -> Sight:
    """Return what is compared; images are numbered from 0."""
    return sight_of(Predictions(FP32, "onnxruntime", preparation, images), range(len(images)), classes=3)


def shown(count: int, *detections: Detection) -> list[ImagePrediction]:
    """Return the same detections in each image."""
    return [ImagePrediction(index, list(detections)) for index in range(count)]


def test_what_fp32_finds_is_found_again_by_class_place_and_score() -> None:
    reference = shown(
        10,
        Detection(0, 0, 100, 100, 0.9, 0),
        Detection(200, 0, 100, 100, 0.6, 1),
        Detection(0, 200, 50, 50, 0.2, 2),
    )
    ours = shown(
        10,
        Detection(0, 0, 100, 80, 0.7, 0),
        Detection(200, 0, 100, 100, 0.5, 2),
        Detection(400, 0, 50, 50, 0.8, 0),
        Detection(0, 200, 50, 50, 0.29, 2),
    )
    found = agreement(sight(ours), sight(reference), "detect")
    assert found.matched.value == pytest.approx(0.5)
    assert found.images == 10
    assert found.extra == pytest.approx(2 / 3)
    assert found.mean_iou == pytest.approx(0.8)
    assert found.score_shift == pytest.approx(-0.2)
    assert (found.score_threshold, found.iou_threshold) == (0.3, 0.5)


def test_one_detection_finds_one_again_the_surest_first() -> None:
    reference = shown(6, Detection(0, 0, 100, 100, 0.9, 0))
    ours = shown(6, Detection(0, 0, 100, 90, 0.4, 0), Detection(0, 0, 100, 60, 0.8, 0))
    found = agreement(sight(ours), sight(reference), "detect")
    assert found.matched.value == 1
    assert found.extra == pytest.approx(0.5)
    assert found.mean_iou == pytest.approx(0.6)


def test_all_found_again_is_not_certainty() -> None:
    reference = shown(20, Detection(0, 0, 100, 100, 0.9, 0))
    found = agreement(sight(reference), sight(reference), "detect").matched
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 20))


def test_an_image_that_we_could_not_see_is_a_miss_and_one_that_fp32_could_not_is_left_out() -> None:
    there = Detection(0, 0, 100, 100, 0.9, 0)
    reference = [ImagePrediction(0, error="does not decode"), *shown(9, there)[1:]]
    ours = [*shown(8, there), ImagePrediction(8, error="out of memory")]
    found = agreement(sight(ours), sight(reference), "detect")
    assert found.images == 8
    assert found.matched.value == pytest.approx(7 / 8)
    assert found.extra == 0
    assert found.matched.low is not None
    assert found.matched.low < 7 / 8 <= (found.matched.high or 0)


def test_a_classifier_agrees_where_its_best_class_does() -> None:
    reference = [ImagePrediction(index, classes=[(index % 3, 0.9)]) for index in range(12)]
    ours = [ImagePrediction(index, classes=[(index % 3 if index else 2, 0.5)]) for index in range(12)]
    found = agreement(sight(ours), sight(reference), "classify")
    assert found.matched.value == pytest.approx(11 / 12)
    assert (found.images, found.extra, found.mean_iou) == (12, None, None)


def test_nothing_to_compare_says_why() -> None:
    faint = shown(6, Detection(0, 0, 9, 9, 0.1, 0))
    with pytest.raises(ConfigError, match="nothing to find again"):
        agreement(sight(faint), sight(faint), "detect")
    broken = [ImagePrediction(index, error="no") for index in range(6)]
    with pytest.raises(ConfigError, match="FP32 has no prediction"):
        agreement(sight(faint), sight(broken), "detect")
    with pytest.raises(ConfigError, match="differently prepared"):
        agreement(sight(faint, "d" * 64), sight(faint), "detect")


def result(sha256: str | None, *, precision: str = "int8", fidelity: Fidelity | None = None) -> Result:
    """Return a result on one board."""
    return Result(
        job="j",
        execution="j.board",
        attempt=1,
        board="board",
        model="fastestdet",
        trial="0" * 16,
        variant_sha256=FP32 if precision == "fp32" else INT8,
        format="onnx",
        runtime="onnxruntime",
        runtime_version="1.27.0",
        precision=precision,
        threads=1,
        cores="all",
        status="ok",
        fidelity=fidelity,
        predictions_sha256=sha256,
        conditions=Conditions(),
        validity=Validity(valid=True),
        started_at="2026-01-01T00:00:00Z",
        monotonic_seconds=1.0,
    )


@pytest.fixture
def unlabelled(sample_jobs: dict[str, ResolvedJob]) -> ResolvedJob:
    """Return a job whose data set has no annotations."""
    return msgspec.structs.replace(sample_jobs["fastestdet"], annotations=None)


@pytest.fixture
def stored(sample_store: ContentStore, unlabelled: ResolvedJob) -> dict[str, str]:
    """Return predictions of FP32 and INT8 on the job's images, by precision."""
    there = Detection(10, 10, 100, 100, 0.9, 0), Detection(300, 10, 100, 100, 0.8, 5)
    shas = {}
    for precision, variant, seen in (("fp32", FP32, there), ("int8", INT8, there[:1])):
        images = [ImagePrediction(image.id, list(seen)) for image in unlabelled.images]
        data = msgspec.json.encode(Predictions(variant, "onnxruntime", PREPARATION, images))
        shas[precision] = sample_store.add_bytes(data).sha256
    return shas


def test_without_labels_there_is_fidelity_and_a_reason_for_accuracy(
    sample_store: ContentStore, unlabelled: ResolvedJob, stored: dict[str, str]
) -> None:
    outputs = [OutputFidelity("boxes", 21.0, 0.99, 0.5)]
    before = [
        result(stored["fp32"], precision="fp32"),
        result(stored["int8"]),
        result(stored["int8"], fidelity=Fidelity("FP32 on litert 2.3.0", outputs, 4)),
    ]
    fp32, int8, measured = score_results(before, read=sample_store.read, resolved=unlabelled)
    for each in (fp32, int8, measured):
        assert each.accuracy is None
        assert each.accuracy_reason == "data set 'coco_ccby' has no annotations"
    assert (fp32.fidelity, fp32.fidelity_reason) == (None, "this is the FP32 reference")
    assert int8.fidelity is not None
    assert int8.fidelity.reference == "FP32 on onnxruntime 1.27.0"
    assert int8.fidelity.agreement is not None
    assert int8.fidelity.agreement.matched.value == pytest.approx(0.5)
    assert measured.fidelity is not None
    assert (measured.fidelity.outputs, measured.fidelity.outputs_images) == (outputs, 4)
    assert measured.fidelity.agreement == int8.fidelity.agreement
    assert measured.fidelity.reference == (
        "FP32 on litert 2.3.0 (raw outputs), FP32 on onnxruntime 1.27.0 (predictions)"
    )


def test_without_fp32_the_reason_is_said_and_what_the_board_measured_stays(
    sample_store: ContentStore, unlabelled: ResolvedJob, stored: dict[str, str]
) -> None:
    outputs = [OutputFidelity("boxes", 21.0, 0.99, 0.5)]
    before = [result(stored["int8"]), result(stored["int8"], fidelity=Fidelity("FP32", outputs, 4))]
    bare, measured = score_results(before, read=sample_store.read, resolved=unlabelled)
    assert bare.fidelity is None
    assert bare.fidelity_reason == "there is no FP32 result on board to compare with"
    assert measured.fidelity is not None
    assert measured.fidelity.outputs == outputs
    assert measured.fidelity.agreement_reason == "there is no FP32 result on board to compare with"


def test_labels_bring_accuracy_beside_fidelity(
    sample_store: ContentStore, sample_jobs: dict[str, ResolvedJob], stored: dict[str, str]
) -> None:
    before = [result(stored["fp32"], precision="fp32"), result(stored["int8"])]
    _, int8 = score_results(before, read=sample_store.read, resolved=sample_jobs["fastestdet"])
    assert int8.accuracy is not None
    assert int8.accuracy_drop is not None
    assert int8.accuracy_drop.classes.keys() == int8.accuracy.classes.keys()
    assert int8.fidelity is not None
    assert int8.fidelity.agreement is not None
