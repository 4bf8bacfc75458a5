"""What does not fit together is counted and said, and never leaves the denominator in silence."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from edgedyno.controller.lab.scoring import score
from edgedyno.controller.lab.scoring.detection import DetectionScorer
from edgedyno.controller.lab.scoring.detections import in_columns
from edgedyno.core.errors import ConfigError
from edgedyno.core.result import Accuracy, Detection, ImagePrediction, Predictions

NAMES = ["cat", "dog"]
BOX = (10.0, 10.0, 50.0, 40.0)


def labels(images: int, *, boxes: list[dict[str, Any]] | None = None) -> bytes:
    """Return labels of images from 0; without `boxes` one cat each."""
    if boxes is None:
        boxes = [{"image_id": index, "category_id": 7, "bbox": BOX} for index in range(images)]
    return msgspec.json.encode(
        {
            "images": [{"id": index, "file_name": f"{index}.jpg"} for index in range(images)],
            "annotations": [{"id": number, **box} for number, box in enumerate(boxes, start=1)],
            "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}, {"id": 11, "name": "gnu"}],
        }
    )


def found(*detections: Detection, images: int) -> list[ImagePrediction]:
    """Return a good cat in each image, and more in the first."""
    right = Detection(*BOX, 0.9, 0)
    return [ImagePrediction(index, [right, *(detections if index == 0 else ())]) for index in range(images)]


def accuracy(images: list[ImagePrediction], annotations: bytes, names: list[str] = NAMES) -> Accuracy:
    predictions = Predictions("a" * 64, "onnxruntime", "c" * 64, images)
    return score(predictions, annotations=annotations, class_names=names, baseline=None).accuracy


def test_images_without_labels_are_left_out_and_counted() -> None:
    known = accuracy(found(images=10), labels(6))
    assert known.images == 6
    assert known.value == pytest.approx(1.0)
    assert known.details["images_without_labels"] == 4


def test_annotations_of_other_images_are_refused() -> None:
    images = [ImagePrediction(100 + index, [Detection(*BOX, 0.9, 0)]) for index in range(8)]
    with pytest.raises(ConfigError, match="none of the 8 images is in the annotations") as caught:
        accuracy(images, labels(6))
    assert caught.value.code == "dataset.annotations"


def test_detections_in_an_image_without_boxes_count_against_it() -> None:
    boxes = [{"image_id": index, "category_id": 7, "bbox": BOX} for index in range(1, 6)]
    better = Detection(*BOX, 0.95, 0)
    images = [ImagePrediction(0, [better]), *found(images=6)[1:]]
    known = accuracy(images, labels(6, boxes=boxes))
    assert known.images == 6
    assert "images_without_labels" not in known.details
    assert known.value == pytest.approx(5 / 6)


def test_boxes_of_classes_that_the_model_lacks_are_counted() -> None:
    boxes = [{"image_id": index, "category_id": 7, "bbox": BOX} for index in range(6)]
    boxes += [{"image_id": 2, "category_id": 11, "bbox": (100.0, 0.0, 9.0, 9.0)}]
    known = accuracy(found(images=6), labels(6, boxes=boxes))
    assert known.value == pytest.approx(1.0)
    assert known.details["boxes_of_other_classes"] == 1
    assert known.classes == {"cat": pytest.approx(1.0)}


def test_no_class_in_common_names_both_sides() -> None:
    with pytest.raises(ConfigError, match=r"horse.*cat") as caught:
        accuracy(found(images=6), labels(6), ["horse"])
    assert caught.value.code == "dataset.classes"


@pytest.mark.parametrize(
    "bad",
    [
        Detection(math.nan, 0, 9, 9, 0.95, 0),
        Detection(0, 0, math.inf, 9, 0.95, 0),
        Detection(0, 0, -9, 9, 0.95, 0),
        Detection(300, 0, 9, -1, 0.95, 0),
    ],
)
def test_a_box_that_is_none_counts_as_found_where_nothing_is(bad: Detection) -> None:
    known = accuracy(found(bad, images=6), labels(6))
    assert known.details["unusable_detections"] == 1
    # The best of all detections is wrong: precision is 1/2, 2/3, … 6/7 and, read from beyond, 6/7 throughout.
    assert known.value == pytest.approx(6 / 7)


def test_a_score_that_is_none_ranks_last_and_is_counted() -> None:
    known = accuracy(found(Detection(*BOX, math.nan, 0), images=6), labels(6))
    assert known.details["unusable_detections"] == 1
    assert known.value == pytest.approx(1.0)


def test_a_box_without_area_is_no_error() -> None:
    known = accuracy(found(Detection(10, 10, 0, 0, 0.95, 0), images=6), labels(6))
    assert "unusable_detections" not in known.details
    assert known.value == pytest.approx(6 / 7)


def test_more_classes_than_the_profile_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="class 2, expected 0 to 1") as caught:
        in_columns(found(Detection(*BOX, 0.5, 2), images=1), classes=2)
    assert caught.value.code == "predictions.class"
    images = [ImagePrediction(index, classes=[(5, 0.9)]) for index in range(6)]
    predictions = Predictions("a" * 64, "onnxruntime", "c" * 64, images)
    rows = b"".join(b"%d.jpg,0\n" % index for index in range(6))
    with pytest.raises(ConfigError, match="class 5, expected 0 to 1"):
        score(predictions, annotations=rows, class_names=NAMES, baseline=None, task="classify")


def test_the_hundred_best_of_an_image_and_class_count() -> None:
    """As in COCO's evaluation: what comes after the hundredth is not looked at."""
    boxes = [{"image_id": 0, "category_id": 7, "bbox": BOX}]
    wrong = [Detection(200.0 + index, 200, 20, 20, 0.9, 0) for index in range(100)]
    scorer = DetectionScorer(labels(1, boxes=boxes), NAMES)
    late = [ImagePrediction(0, [*wrong, Detection(*BOX, 0.1, 0)])]
    in_time = [ImagePrediction(0, [*wrong[1:], Detection(*BOX, 0.1, 0)])]
    once = np.ones((1, 1), dtype=np.int32)
    for images, expected in ((late, 0.0), (in_time, 0.01)):
        point, matches = scorer.point(images)
        assert point.value == pytest.approx(expected, abs=1e-9)
        assert scorer.resampled(matches, once).overall[0] == pytest.approx(expected, abs=1e-9)


def test_few_images_of_a_class_give_its_drop_no_interval() -> None:
    boxes = [{"image_id": index, "category_id": 7, "bbox": BOX} for index in range(12)]
    boxes += [{"image_id": index, "category_id": 9, "bbox": (200.0, 0.0, 30.0, 30.0)} for index in range(3)]
    good = [
        ImagePrediction(
            index,
            [Detection(*BOX, 0.9 - index / 50, 0), Detection(200, 0, 30, 30, 0.9, 1)][: 1 + (index < 3)],
        )
        for index in range(12)
    ]
    bad = [*good[:8], *(ImagePrediction(index, [Detection(*BOX, 0.95, 1)]) for index in range(8, 12))]
    both = [
        Predictions(name * 64, "onnxruntime", "c" * 64, images) for name, images in (("a", bad), ("b", good))
    ]
    drop = score(both[0], annotations=labels(12, boxes=boxes), class_names=NAMES, baseline=both[1]).drop
    assert drop is not None
    cat, dog = drop.classes["cat"], drop.classes["dog"]
    assert cat.low is not None
    assert cat.high is not None
    assert 0 < cat.low < cat.value < cat.high
    assert dog.value > 0
    assert (dog.low, dog.high) == (None, None)
