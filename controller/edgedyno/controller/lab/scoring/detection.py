"""Score boxes: COCO mAP by the library, its interval and that of the drop by resampling images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from edgedyno.controller.lab.coco import category_ids, decode_instances
from edgedyno.controller.lab.scoring.detections import in_columns
from edgedyno.controller.lab.scoring.matching import Labels, match
from edgedyno.controller.lab.scoring.precision import average_precisions, mean_over_classes
from edgedyno.controller.lab.scoring.scorer import Point, Resampled
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.coco import CocoBox, CocoInstances
    from edgedyno.controller.lab.scoring.detections import Detections
    from edgedyno.controller.lab.scoring.matching import ClassMatches
    from edgedyno.controller.lab.scoring.scorer import Counts
    from edgedyno.core.result import ImagePrediction

METRIC = "mAP50-95"
_DETAILS = {
    "mAP50": "AP_50",
    "mAP75": "AP_75",
    "mAP_small": "AP_small",
    "mAP_medium": "AP_medium",
    "mAP_large": "AP_large",
}


class DetectionScorer:
    """Scores predictions on one labelled data set."""

    metric = METRIC

    def __init__(self, annotations: bytes, class_names: list[str]) -> None:
        instances = decode_instances(annotations, file="annotations")
        self._names = class_names
        self._class_of = _class_of(instances, class_names)
        self._boxes = [box for box in instances.annotations if box.category_id in self._class_of]
        self._others = [
            box.image_id for box in instances.annotations if box.category_id not in self._class_of
        ]
        self._labelled = {image.id for image in instances.images}
        self._labelled |= {box.image_id for box in instances.annotations}

    def labelled(self, image_ids: Sequence[int]) -> list[int]:
        """Return those that the annotations speak of, boxes or none, in the order of their ids."""
        return sorted(self._labelled.intersection(image_ids))

    def point(self, images: Sequence[ImagePrediction]) -> tuple[Point, list[ClassMatches]]:
        """Return mAP50-95 on these images with further figures, and what `resampled` needs.

        Images come by their ids, for COCO's evaluation takes equal scores in that order.
        mAP50, mAP75 and mAP by box size stand among the details where such boxes are labelled, and counts of
        what was odd. Raises ConfigError (predictions.class) for a class that the model does not have,
        dataset.annotations when none of the images has a labelled box.
        """
        boxes, labels = self._labels([image.image_id for image in images])
        if not (~labels.crowd).any():
            raise ConfigError("none of the images has a labelled box", code="dataset.annotations")
        found = in_columns(images, classes=len(self._names))
        point = self._evaluate(boxes, found, images)
        odd = {
            "boxes_of_other_classes": self._count_others(images),
            "unusable_detections": found.unusable,
        }
        details = point.details | {name: float(count) for name, count in odd.items() if count}
        return Point(point.value, details, point.classes), match(found, labels)

    def resampled(self, matches: list[ClassMatches], counts: Counts) -> Resampled:
        """Return the metric, and that of each class, for each weighting of the images."""
        precisions = average_precisions(matches, counts)
        by_class = zip(matches, precisions, strict=True)
        return Resampled(
            mean_over_classes(precisions), {self._names[one.class_index]: row for one, row in by_class}
        )

    def _labels(self, image_ids: Sequence[int]) -> tuple[list[CocoBox], Labels]:
        position = {image_id: index for index, image_id in enumerate(image_ids)}
        boxes = [box for box in self._boxes if box.image_id in position]
        labels = Labels(
            np.array([position[box.image_id] for box in boxes], dtype=np.int64),
            np.array([self._class_of[box.category_id] for box in boxes], dtype=np.int64),
            np.array([box.bbox for box in boxes], dtype=np.float64).reshape(-1, 4),
            np.array([box.iscrowd for box in boxes], dtype=bool),
        )
        return boxes, labels.ordered()

    def _count_others(self, images: Sequence[ImagePrediction]) -> int:
        ids = {image.image_id for image in images}
        return sum(image_id in ids for image_id in self._others)

    def _evaluate(
        self, boxes: Sequence[CocoBox], found: Detections, images: Sequence[ImagePrediction]
    ) -> Point:
        """Ask the library; categories are the model's own class indices, from 1."""
        labelled = sorted({self._class_of[box.category_id] for box in boxes if not box.iscrowd})
        if not found.score.size:
            return Point(0.0, {}, {self._names[index]: 0.0 for index in labelled})
        truth = COCO(_truth(boxes, self._class_of, images))
        evaluation = COCOeval_faster(truth, truth.loadRes(_as_coco(found, images)), "bbox")
        evaluation.run()
        stats = dict(evaluation.stats_as_dict)
        details = {ours: float(stats[name]) for ours, name in _DETAILS.items() if stats[name] >= 0}
        return Point(float(stats["AP_all"]), details, _by_class(evaluation, self._names))


def _class_of(instances: CocoInstances, class_names: list[str]) -> dict[int, int]:
    """Return the model's class index by category id; other categories are left out."""
    ids = category_ids(instances, class_names)
    return {category: index for index, category in enumerate(ids) if category is not None}


def _truth(
    boxes: Sequence[CocoBox], class_of: dict[int, int], images: Sequence[ImagePrediction]
) -> dict[str, Any]:
    return {
        "images": [{"id": image.image_id} for image in images],
        "annotations": [
            {
                "id": number,
                "image_id": box.image_id,
                "category_id": 1 + class_of[box.category_id],
                "bbox": list(box.bbox),
                "area": box.bbox[2] * box.bbox[3] if box.area is None else box.area,
                "iscrowd": box.iscrowd,
            }
            for number, box in enumerate(boxes, start=1)
        ],
        "categories": [{"id": 1 + index} for index in sorted(class_of.values())],
    }


def _as_coco(found: Detections, images: Sequence[ImagePrediction]) -> NDArray[np.float64]:
    """Return a row per detection: image id, x, y, width, height, score, category."""
    ids = np.array([image.image_id for image in images], dtype=np.float64)
    return np.column_stack([ids[found.image], found.box, found.score, 1.0 + found.class_index])


def _by_class(evaluation: COCOeval_faster, names: list[str]) -> dict[str, float]:
    """Return the mean precision of each class that has a labelled box."""
    # IoU threshold, recall, category, area range, most detections: all areas, 100 detections.
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]
    categories = evaluation.params.catIds
    means = [precision[:, :, index] for index in range(len(categories))]
    return {
        names[category - 1]: float(one.mean())
        for category, one in zip(categories, means, strict=True)
        if (one > -1).all()
    }
