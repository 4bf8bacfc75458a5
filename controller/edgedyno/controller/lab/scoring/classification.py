"""Score classes: the share of images whose label is the best, or among the best five."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.controller.lab.datasets.normal import read_labels
from edgedyno.controller.lab.scoring.bootstrap import Bootstrap
from edgedyno.controller.lab.scoring.scorer import Point, Resampled
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.scoring.scorer import Counts, Resampling
    from edgedyno.core.result import ImagePrediction

METRIC = "top-1"
_TOP = 5


class ClassificationScorer:
    """Scores predictions on one labelled data set; an image's id is its row in the labels."""

    metric = METRIC

    def __init__(self, annotations: bytes, class_names: list[str]) -> None:
        self._labels = [label for _, label in read_labels(annotations, file="annotations")]
        self._names = class_names
        worst = max(self._labels)
        if worst >= len(class_names):
            raise ConfigError(
                f"found the label {worst}, expected 0 to {len(class_names) - 1} as the model's classes are",
                code="dataset.classes",
            )

    def resampling(self, images: int) -> Resampling:
        """Return a bootstrap: top-1 is a mean."""
        return Bootstrap(images)

    def labelled(self, image_ids: Sequence[int]) -> list[int]:
        """Return those that have a row in the labels."""
        return [image_id for image_id in image_ids if 0 <= image_id < len(self._labels)]

    def point(self, images: Sequence[ImagePrediction]) -> tuple[Point, NDArray[np.int64]]:
        """Return top-1 on these images, with top-5 among the details, and what `resampled` needs.

        Raises ConfigError (predictions.class) for a class that the model does not have.
        """
        self._check_classes(images)
        labels = [self._labels[image.image_id] for image in images]
        best = [image.classes[0][0] if image.classes else -1 for image in images]
        among = [
            label in [index for index, _ in image.classes[:_TOP]]
            for image, label in zip(images, labels, strict=True)
        ]
        rows = np.array([labels, best], dtype=np.int64)
        scores = self.resampled(rows, np.ones((len(images), 1), dtype=np.int32))
        classes = {name: float(values[0]) for name, values in scores.classes.items()}
        shown = {self._names[label]: count for label, count in Counter(labels).items()}
        return Point(float(scores.overall[0]), {"top-5": sum(among) / len(among)}, classes, shown), rows

    def resampled(self, matches: NDArray[np.int64], counts: Counts) -> Resampled:
        """Return top-1, and that of each class, for each weighting of the images."""
        labels, best = matches
        right = labels == best
        overall = np.divide(counts[right].sum(axis=0), counts.sum(axis=0))
        by_class = {}
        for label in np.unique(labels).tolist():
            own = labels == label
            images, hits = counts[own].sum(axis=0), counts[own & right].sum(axis=0)
            by_class[self._names[label]] = np.divide(
                hits, images, out=np.full(len(images), np.nan), where=images > 0
            )
        return Resampled(overall, by_class)

    def _check_classes(self, images: Sequence[ImagePrediction]) -> None:
        most = max((index for image in images for index, _ in image.classes), default=0)
        if most >= len(self._names):
            raise ConfigError(
                f"found a prediction of class {most}, expected 0 to {len(self._names) - 1}: the model has more "
                "classes than its profile names",
                code="predictions.class",
            )
