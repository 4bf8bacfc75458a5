"""What the data set itself says about an image: its labelled boxes, its photographer and its licence."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.controller.lab.coco import category_ids, decode_instances
from edgedyno.controller.lab.datasets import read_labels
from edgedyno.controller.lab.report.examples.changes import MATCHING_IOU, box_of, iou
from edgedyno.core.errors import EdgedynoError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.controller.lab.coco import CocoBox
    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.result import Detection

log = logging.getLogger(__name__)


class _Photograph(Struct, frozen=True):
    id: int
    credit: str = ""


class _Credits(Struct, frozen=True):
    """What the normal form of labels tells of whose the images are."""

    images: list[_Photograph] = []


class Labels:
    """A data set's labelled boxes by image and by class of the model, and its credits."""

    def __init__(self) -> None:
        self.boxes: dict[int, list[tuple[int, CocoBox]]] = {}
        """By image: class of the model, box; crowds are left out."""
        self.counts: dict[str, int] = {}
        """Labelled boxes by class name."""
        self.classes: dict[int, int] = {}
        """Class of each image, where whole images are labelled."""
        self.known = False
        self._credits: dict[int, str] = {}

    @classmethod
    def of(cls, resolved: ResolvedJob, read: Callable[[str], bytes]) -> Labels:
        """Read the labels of a job; none where it has none or they cannot be read."""
        labels = cls()
        if resolved.annotations is None:
            return labels
        try:
            data = read(resolved.annotations.sha256)
            if resolved.model.task == "detect":
                labels._take(data, resolved.class_names)
            else:
                labels._take_classes(data, resolved.class_names)
        except (EdgedynoError, OSError, KeyError, msgspec.MsgspecError):
            log.info("the report goes without labels", exc_info=True)
        return labels

    def _take(self, data: bytes, class_names: list[str]) -> None:
        instances = decode_instances(data, file="annotations")
        ids = category_ids(instances, class_names)
        index = {category: place for place, category in enumerate(ids) if category is not None}
        for box in instances.annotations:
            place = index.get(box.category_id)
            if place is None or box.iscrowd:
                continue
            self.boxes.setdefault(box.image_id, []).append((place, box))
            name = class_names[place]
            self.counts[name] = self.counts.get(name, 0) + 1
        self.known = True
        self._credit(msgspec.json.decode(data, type=_Credits))

    def _take_classes(self, data: bytes, class_names: list[str]) -> None:
        """Take the class of each image; its id is its row."""
        self.classes = {row: index for row, (_, index) in enumerate(read_labels(data, file="annotations"))}
        names = [class_names[index] for index in self.classes.values() if index < len(class_names)]
        self.counts = dict(Counter(names))
        self.known = True

    def _credit(self, told: _Credits) -> None:
        self._credits = {image.id: image.credit for image in told.images}

    def credit(self, image_id: int) -> str:
        """Return whose an image is, as the data set tells; empty where it does not."""
        return self._credits.get(image_id, "")

    def found(self, image_id: int, detections: Sequence[Detection]) -> tuple[int, int, int]:
        """Return how many labelled objects were found, how many there are, and how many boxes hit none."""
        boxes = self.boxes.get(image_id, [])
        free = set(range(len(boxes)))
        for detection in detections:
            hits = [
                (iou(box_of(detection), boxes[at][1].bbox), -at)
                for at in free
                if boxes[at][0] == detection.class_index
            ]
            best, at = max(hits, default=(0.0, 0))
            if best >= MATCHING_IOU:
                free.discard(-at)
        found = len(boxes) - len(free)
        return found, len(boxes), len(detections) - found
