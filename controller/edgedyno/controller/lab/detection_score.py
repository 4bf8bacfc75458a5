"""Score boxes: COCO mAP by the library, its interval and that of the drop by resampling images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faster_coco_eval import COCO, COCOeval_faster

from edgedyno.controller.lab.coco import CocoInstances, category_ids, decode_instances
from edgedyno.controller.lab.matching import Matches, match, mean_average_precision
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgedyno.core.result import ImagePrediction

    Floats = NDArray[np.float64]

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
        self._instances = decode_instances(annotations, file="annotations")
        self._categories = category_ids(self._instances, class_names)

    def value(self, images: Sequence[ImagePrediction]) -> tuple[float, dict[str, float]]:
        """Return mAP50-95 on these images, and further figures.

        mAP50, mAP75 and mAP by box size stand among them where such boxes are labelled.
        Raises ConfigError (predictions.class) for a class that the model does not have, dataset.annotations
        when none of the images has a labelled box.
        """
        truth = _truth(self._instances, {image.image_id for image in images})
        if not any(not box["iscrowd"] for box in truth["annotations"]):
            raise ConfigError("none of the images has a labelled box", code="dataset.annotations")
        found = self._as_coco(images)
        if not found:
            return 0.0, {}
        stats = _evaluate(truth, found)
        return stats["AP_all"], {ours: stats[name] for ours, name in _DETAILS.items() if stats[name] >= 0}

    def matches(self, images: Sequence[ImagePrediction]) -> Matches:
        """Return what `weighted` needs."""
        return match(images, self._instances.annotations, self._categories)

    def weighted(self, matches: Matches, weights: Floats) -> Floats:
        """Return the metric for each weighting of the images."""
        return mean_average_precision(matches, weights)

    def _as_coco(self, images: Sequence[ImagePrediction]) -> list[dict[str, Any]]:
        return [
            {
                "image_id": image.image_id,
                "category_id": category,
                "bbox": [box.x, box.y, box.width, box.height],
                "score": box.score,
            }
            for image in images
            for box in image.detections
            if (category := self._category(box.class_index)) is not None
        ]

    def _category(self, class_index: int) -> int | None:
        if not 0 <= class_index < len(self._categories):
            raise ConfigError(
                f"found a detection of class {class_index}, expected 0 to {len(self._categories) - 1}: the "
                "model has more classes than its profile names",
                code="predictions.class",
            )
        return self._categories[class_index]


def _truth(instances: CocoInstances, image_ids: set[int]) -> dict[str, Any]:
    boxes = [
        {
            "id": number,
            "image_id": box.image_id,
            "category_id": box.category_id,
            "bbox": list(box.bbox),
            "area": box.bbox[2] * box.bbox[3] if box.area is None else box.area,
            "iscrowd": box.iscrowd,
        }
        for number, box in enumerate(instances.annotations, start=1)
        if box.image_id in image_ids
    ]
    return {
        "images": [{"id": image_id} for image_id in sorted(image_ids)],
        "annotations": boxes,
        "categories": [{"id": category.id, "name": category.name} for category in instances.categories],
    }


def _evaluate(truth: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, float]:
    labelled = COCO(truth)
    evaluation = COCOeval_faster(labelled, labelled.loadRes(found), "bbox")
    evaluation.run()
    return dict(evaluation.stats_as_dict)
