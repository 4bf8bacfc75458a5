"""Accuracy: equal to COCO's own evaluation, with honest intervals, and a reason wherever there is no number."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import packaged
from edgedyno.controller.lab.scoring import score, score_results
from edgedyno.controller.lab.scoring.bootstrap import draw_weights, interval, leave_out
from edgedyno.controller.lab.scoring.detection import DetectionScorer
from edgedyno.core.errors import ConfigError, UnsupportedError
from edgedyno.core.manifest import Failure
from edgedyno.core.result import (
    Conditions,
    Detection,
    ImagePrediction,
    Predictions,
    Result,
    Validity,
)

if TYPE_CHECKING:
    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.manifest import ResolvedJob

VARIANT, OTHER, PREPARATION = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Return COCO's class names."""
    return class_names("coco80", base=packaged("models"))


@pytest.fixture(scope="module")
def instances() -> bytes:
    """Return the labels of the bundled images."""
    return (packaged("samples") / "data/coco_ccby/instances.json").read_bytes()


@pytest.fixture(scope="module")
def scorer(instances: bytes, names: list[str]) -> DetectionScorer:
    """Return a scorer of the bundled images."""
    return DetectionScorer(instances, names)


def _guesses(instances: bytes, *, seed: int, blur: float = 0.15) -> list[ImagePrediction]:
    """Return the labelled boxes moved about, some lost, some of another class, and some that are not there."""
    generator = np.random.default_rng(seed)
    labels = msgspec.json.decode(instances)
    classes = {category["id"]: index for index, category in enumerate(labels["categories"])}
    found: dict[int, list[Detection]] = {image["id"]: [] for image in labels["images"]}
    for box in labels["annotations"]:
        for _ in range(generator.integers(0, 4)):
            moved = np.array(box["bbox"]) + generator.normal(0, blur, 4) * box["bbox"][2]
            x, y, width, height = moved.tolist()
            truth = classes[box["category_id"]]
            index = truth if generator.random() < 0.8 else int(generator.integers(80))
            # Few different scores: ties have to be broken as COCO breaks them.
            certainty = round(float(generator.random()), 1)
            found[box["image_id"]].append(
                Detection(x, y, max(1.0, width), max(1.0, height), certainty, index)
            )
    return [ImagePrediction(image_id, detections=boxes) for image_id, boxes in sorted(found.items())]


def _predictions(
    images: list[ImagePrediction], *, variant: str = VARIANT, preparation: str = PREPARATION
) -> Predictions:
    return Predictions(variant, "onnxruntime", preparation, images)


def _pycocotools(instances: bytes, images: list[ImagePrediction]) -> np.ndarray:
    labels = msgspec.json.decode(instances)
    ids = [category["id"] for category in labels["categories"]]
    found = [
        {
            "image_id": image.image_id,
            "category_id": ids[box.class_index],
            "bbox": [box.x, box.y, box.width, box.height],
            "score": box.score,
        }
        for image in images
        for box in image.detections
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = labels
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


@pytest.mark.parametrize("seed", range(4))
def test_the_score_is_that_of_pycocotools(scorer: DetectionScorer, instances: bytes, seed: int) -> None:
    images = _guesses(instances, seed=seed)
    (value, details, _), _ = scorer.point(images)
    theirs = _pycocotools(instances, images)
    assert 0.05 < value < 0.95
    ours = [
        value,
        *(details[name] for name in ("mAP50", "mAP75", "mAP_small", "mAP_medium", "mAP_large")),
    ]
    assert ours == pytest.approx(theirs[:6], abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_weighted_score_is_the_librarys(scorer: DetectionScorer, instances: bytes, seed: int) -> None:
    images = _guesses(instances, seed=seed)
    point, matches = scorer.point(images)
    ours = scorer.resampled(matches, np.ones((len(images), 1), dtype=np.int32))
    assert ours.overall[0] == pytest.approx(point.value, abs=1e-9)
    assert {name: one[0] for name, one in ours.classes.items()} == pytest.approx(point.classes, abs=1e-9)


def test_crowds_absorb_detections_in_both(names: list[str]) -> None:
    crowd = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 100], "area": 10000, "iscrowd": 1, "id": 1}
    single = {"image_id": 1, "category_id": 1, "bbox": [200, 0, 50, 50], "area": 2500, "iscrowd": 0, "id": 2}
    labels = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [crowd, single],
        "categories": [{"id": 1, "name": "person"}],
    }
    boxes = [Detection(10 * i, 10 * i, 40, 40, 0.9 - i / 10, 0) for i in range(5)]
    images = [ImagePrediction(1, detections=[*boxes, Detection(200, 0, 50, 45, 0.3, 0)])]
    scorer = DetectionScorer(msgspec.json.encode(labels), names)
    point, matches = scorer.point(images)
    ours = scorer.resampled(matches, np.ones((1, 1), dtype=np.int32)).overall[0]
    assert ours == pytest.approx(point.value, abs=1e-9)
    assert ours == pytest.approx(0.9)


def test_drawing_an_image_twice_is_having_it_twice(
    scorer: DetectionScorer, instances: bytes, names: list[str]
) -> None:
    images = _guesses(instances, seed=7)
    weights = draw_weights(len(images), resamples=1)[0]
    labels: dict[str, Any] = msgspec.json.decode(instances)
    drawn = [
        (image, copy) for image, times in zip(images, weights, strict=True) for copy in range(int(times))
    ]
    repeated = {**labels, "images": [], "annotations": []}
    copies = []
    for number, (image, _) in enumerate(drawn):
        repeated["images"].append({"id": number, "file_name": f"{number}.jpg"})
        copies.append(msgspec.structs.replace(image, image_id=number))
        repeated["annotations"] += [
            {**box, "image_id": number} for box in labels["annotations"] if box["image_id"] == image.image_id
        ]
    theirs = DetectionScorer(msgspec.json.encode(repeated), names).point(copies)[0].value
    _, matches = scorer.point(images)
    ours = scorer.resampled(matches, weights.astype(np.int32)[:, None]).overall[0]
    # Equal scores of different images may be put in another order: that moves the figure by little.
    assert ours == pytest.approx(theirs, abs=2e-3)


def _perfect(instances: bytes) -> list[ImagePrediction]:
    labels = msgspec.json.decode(instances)
    classes = {category["id"]: index for index, category in enumerate(labels["categories"])}
    found: dict[int, list[Detection]] = {image["id"]: [] for image in labels["images"]}
    for box in labels["annotations"]:
        if not box["iscrowd"]:
            x, y, width, height = box["bbox"]
            found[box["image_id"]].append(Detection(x, y, width, height, 0.9, classes[box["category_id"]]))
    return [ImagePrediction(image_id, detections=boxes) for image_id, boxes in found.items()]


def test_the_labels_themselves_score_one(instances: bytes, names: list[str]) -> None:
    found = score(_predictions(_perfect(instances)), annotations=instances, class_names=names, baseline=None)
    assert found.accuracy.metric == "mAP50-95"
    assert found.accuracy.value == pytest.approx(1.0)
    assert (found.accuracy.low, found.accuracy.high) == (
        None,
        None,
    )  # no resample differs: no spread is known
    assert found.drop is None
    assert found.drop_reason == "there is no FP32 result to compare with"


def test_finding_nothing_scores_zero(instances: bytes, names: list[str]) -> None:
    empty = [ImagePrediction(image.image_id) for image in _perfect(instances)]
    found = score(_predictions(empty), annotations=instances, class_names=names, baseline=None)
    assert found.accuracy.value == 0


def test_an_image_with_an_error_counts_as_missed(instances: bytes, names: list[str]) -> None:
    images = _perfect(instances)
    broken = [ImagePrediction(images[0].image_id, error="does not decode"), *images[1:]]
    found = score(_predictions(broken), annotations=instances, class_names=names, baseline=None).accuracy
    assert found.images == len(images)
    assert found.value < 0.999
    assert found.details["images_without_prediction"] == 1


def test_no_prediction_at_all_is_no_score(instances: bytes, names: list[str]) -> None:
    broken = [ImagePrediction(image.image_id, error="out of memory") for image in _perfect(instances)]
    with pytest.raises(ConfigError, match="out of memory") as caught:
        score(_predictions(broken), annotations=instances, class_names=names, baseline=None)
    assert caught.value.code == "predictions.none"


def test_a_class_beyond_the_models_is_refused(instances: bytes, names: list[str]) -> None:
    images = [ImagePrediction(397133, detections=[Detection(0, 0, 9, 9, 0.5, 80)])]
    with pytest.raises(ConfigError) as caught:
        score(_predictions(images), annotations=instances, class_names=names, baseline=None)
    assert caught.value.code == "predictions.class"


def test_only_the_predicted_images_are_scored(instances: bytes, names: list[str]) -> None:
    some = _perfect(instances)[:6]
    found = score(_predictions(some), annotations=instances, class_names=names, baseline=None).accuracy
    assert found.images == 6
    assert found.value == pytest.approx(1.0)


def test_the_drop_has_an_interval_around_it(instances: bytes, names: list[str]) -> None:
    good, bad = (_predictions(_guesses(instances, seed=1, blur=blur)) for blur in (0.02, 0.2))
    found = score(bad, annotations=instances, class_names=names, baseline=good)
    assert found.drop is not None
    assert found.drop.low is not None
    assert found.drop.high is not None
    assert 0 < found.drop.low < found.drop.value < found.drop.high
    assert found.accuracy.low is not None
    assert found.accuracy.high is not None
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    again = score(bad, annotations=instances, class_names=names, baseline=good)
    assert again == found


def test_equal_predictions_have_no_drop(instances: bytes, names: list[str]) -> None:
    one, other = (_predictions(_guesses(instances, seed=1)) for _ in range(2))
    found = score(one, annotations=instances, class_names=names, baseline=other).drop
    assert found is not None
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_differently_prepared_inputs_are_not_compared(instances: bytes, names: list[str]) -> None:
    images = _guesses(instances, seed=1)
    found = score(
        _predictions(images, preparation=OTHER),
        annotations=instances,
        class_names=names,
        baseline=_predictions(images),
    )
    assert found.drop is None
    assert found.drop_reason is not None
    assert "differently prepared" in found.drop_reason


LABELS = b"file,class_index\n" + b"".join(b"%d.jpg,%d\n" % (index, index % 3) for index in range(12))


def test_classes_are_scored_by_the_best_and_the_best_five() -> None:
    images = [
        ImagePrediction(index, classes=[(index % 3 if index < 9 else (index + 1) % 3, 0.9), (index % 3, 0.1)])
        for index in range(12)
    ]
    found = score(
        _predictions(images), annotations=LABELS, class_names=list("abc"), baseline=None, task="classify"
    ).accuracy
    assert (found.metric, found.value, found.images) == ("top-1", 0.75, 12)
    assert found.details == {"top-5": 1.0}
    assert found.low is not None
    assert found.high is not None
    assert 0.3 < found.low < 0.75 < found.high <= 1


def test_labels_beyond_the_models_classes_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        score(_predictions([]), annotations=LABELS, class_names=["a"], baseline=None, task="classify")
    assert caught.value.code == "dataset.classes"


def test_the_interval_covers_what_it_says() -> None:
    generator = np.random.default_rng(11)
    images, truth = 120, 0.7
    weights, left_out = draw_weights(images), leave_out(images)
    covered = 0
    for _ in range(400):
        sample = (generator.random(images) < truth).astype(float)
        bounds = interval(sample.mean(), weights @ sample / images, left_out @ sample / left_out.sum(axis=1))
        assert bounds is not None
        covered += bounds[0] <= truth <= bounds[1]
    assert 0.92 <= covered / 400 <= 0.98


def test_resamples_that_do_not_vary_give_no_interval() -> None:
    assert interval(1.0, np.ones(10), np.ones(10)) is None
    assert interval(1.0, np.full(10, np.nan), np.ones(10)) is None


def test_thousands_of_images_are_left_out_in_groups() -> None:
    weights = leave_out(5000)
    assert weights.shape == (200, 5000)
    assert ((1 - weights).sum(axis=0) == 1).all()


def _result(**changes: Any) -> Result:
    result = Result(
        job="j",
        execution="j.board",
        attempt=1,
        board="board",
        model="fastestdet",
        trial="0" * 16,
        variant_sha256=VARIANT,
        format="onnx",
        runtime="onnxruntime",
        runtime_version="1.0",
        precision="int8",
        threads=1,
        cores="all",
        status="ok",
        conditions=Conditions(),
        validity=Validity(valid=True),
        started_at="2026-01-01T00:00:00Z",
        monotonic_seconds=1.0,
    )
    return msgspec.structs.replace(result, **changes)


@pytest.fixture
def scored(
    instances: bytes, sample_store: ContentStore, sample_jobs: dict[str, ResolvedJob]
) -> tuple[list[Result], list[Result]]:
    """Return results before and after scoring: FP32 and INT8 at one and two threads, and one that failed."""
    good, bad = _guesses(instances, seed=1, blur=0.02), _guesses(instances, seed=1, blur=0.2)
    fp32 = sample_store.add_bytes(msgspec.json.encode(_predictions(good, variant=OTHER))).sha256
    int8 = sample_store.add_bytes(msgspec.json.encode(_predictions(bad))).sha256
    results = [
        _result(precision="fp32", variant_sha256=OTHER, predictions_sha256=fp32),
        _result(predictions_sha256=int8),
        _result(threads=2),
        _result(status="failed", failure=Failure("worker.killed", "out of memory")),
        _result(board="another", predictions_sha256=int8),
        _result(variant_sha256="d" * 64),
        _result(variant_sha256="e" * 64, predictions_sha256=int8),
        _result(variant_sha256="f" * 64, predictions_sha256="9" * 64),
        _result(runtime="rknn", runtime_version="2.5", predictions_sha256=int8),
    ]
    resolved = sample_jobs["fastestdet"]
    return results, score_results(results, read=sample_store.read, resolved=resolved)


def test_results_get_accuracy_and_drop_or_reasons(scored: tuple[list[Result], list[Result]]) -> None:
    before, after = scored
    assert len(before) == len(after)
    fp32, int8, shared, failed, alone, none, wrong, lost, elsewhere = after
    assert fp32.accuracy is not None
    assert fp32.accuracy_drop is None
    assert fp32.accuracy_drop_reason == "this is the FP32 reference"
    assert int8.accuracy is not None
    assert int8.accuracy_drop is not None
    assert int8.accuracy_drop.value == pytest.approx(fp32.accuracy.value - int8.accuracy.value)
    assert (int8.accuracy_reason, int8.accuracy_drop_reason) == (None, None)
    assert (shared.accuracy, shared.accuracy_drop) == (int8.accuracy, int8.accuracy_drop)
    assert (failed.accuracy, failed.accuracy_reason) == (None, "the trial is failed")
    assert alone.accuracy == int8.accuracy
    assert alone.accuracy_drop is None
    assert alone.accuracy_drop_reason == "there is no FP32 result on another to compare with"
    # That runtime ran no FP32: what another found on the same board counts.
    assert elsewhere.accuracy_drop == int8.accuracy_drop
    assert none.accuracy_reason == "the board made no predictions"
    assert wrong.accuracy_reason == "the predictions are of another variant"
    assert lost.accuracy_reason is not None
    assert "9999" in lost.accuracy_reason


def test_only_accuracy_is_touched(scored: tuple[list[Result], list[Result]]) -> None:
    for before, after in zip(*scored, strict=True):
        emptied = msgspec.structs.replace(
            after,
            accuracy=None,
            accuracy_reason=None,
            accuracy_drop=None,
            accuracy_drop_reason=None,
            fidelity=None,
            fidelity_reason=None,
        )
        assert emptied == before
        assert msgspec.json.decode(msgspec.json.encode(after), type=Result) == after


def test_a_data_set_without_annotations_is_the_reason(
    sample_store: ContentStore, sample_jobs: dict[str, ResolvedJob]
) -> None:
    resolved = msgspec.structs.replace(sample_jobs["fastestdet"], annotations=None)
    (result,) = score_results(
        [_result(predictions_sha256="9" * 64)], read=sample_store.read, resolved=resolved
    )
    assert result.accuracy_reason == "data set 'coco_ccby' has no annotations"


def test_a_job_without_a_data_set_is_the_reason(
    sample_store: ContentStore, sample_jobs: dict[str, ResolvedJob]
) -> None:
    resolved = msgspec.structs.replace(sample_jobs["fastestdet"], dataset=None, images=[])
    (result,) = score_results([_result()], read=sample_store.read, resolved=resolved)
    assert result.accuracy_reason == "the job names no data set"


def test_a_reason_that_the_board_gave_stays(
    sample_store: ContentStore, sample_jobs: dict[str, ResolvedJob]
) -> None:
    said = _result(accuracy_reason="time was up before the accuracy pass")
    (result,) = score_results([said], read=sample_store.read, resolved=sample_jobs["fastestdet"])
    assert result.accuracy_reason == "time was up before the accuracy pass"


def test_lost_annotations_are_a_reason(sample_jobs: dict[str, ResolvedJob]) -> None:
    def read(sha256: str) -> bytes:
        raise UnsupportedError(f"artifact {sha256} is gone", code="artifact.missing")

    (result,) = score_results([_result()], read=read, resolved=sample_jobs["fastestdet"])
    assert result.accuracy_reason is not None
    assert "is gone" in result.accuracy_reason


def test_predictions_that_cannot_be_read_are_a_reason(
    sample_store: ContentStore, sample_jobs: dict[str, ResolvedJob]
) -> None:
    sha256 = sample_store.add_bytes(b'{"images": 3}').sha256
    resolved = sample_jobs["fastestdet"]
    (result,) = score_results([_result(predictions_sha256=sha256)], read=sample_store.read, resolved=resolved)
    assert result.accuracy is None
    assert result.accuracy_reason is not None
    assert "cannot be read" in result.accuracy_reason
