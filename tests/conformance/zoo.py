"""The zoo's images with their labels, and scores of what a model says of them."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import packaged
from edgedyno.controller.lab.scoring import score
from edgedyno.core.result import ImagePrediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.core.result import Detection


@cache
def instances(zoo: Path, *, official: bool) -> dict[str, Any]:
    """Return the labels of coco_val_140, or of the 79 images among them whose labels are COCO's own."""
    found: dict[str, Any] = json.loads((zoo / "data/coco_val_140/instances.json").read_text())
    if official:
        ids = set(found["official79_ids"])
        found["images"] = [image for image in found["images"] if image["id"] in ids]
        found["annotations"] = [box for box in found["annotations"] if box["image_id"] in ids]
    return found


def images(zoo: Path, *, official: bool) -> list[tuple[int, Path]]:
    """Return id and path of each image."""
    folder = zoo / "data/coco_val_140/images"
    return [
        (image["id"], folder / image["file_name"]) for image in instances(zoo, official=official)["images"]
    ]


def mean_average_precision(
    zoo: Path, seen: Sequence[tuple[int, list[Detection]]], *, official: bool, classes: str = "coco80"
) -> float:
    """Return mAP50-95 of detections by image id."""
    found = [ImagePrediction(image_id, detections=boxes) for image_id, boxes in seen]
    predictions = Predictions("0" * 64, "onnxruntime", "0" * 64, found)
    labels = json.dumps(instances(zoo, official=official)).encode()
    names = class_names(classes, base=packaged("models"))
    accuracy = score(predictions, annotations=labels, class_names=names, baseline=None).accuracy
    return accuracy.value
