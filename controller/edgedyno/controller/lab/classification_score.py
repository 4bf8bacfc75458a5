"""Score classes: the share of images whose label is the best, or among the best five."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedyno.controller.lab.datasets.normal import read_labels
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.core.result import ImagePrediction

    Floats = NDArray[np.float64]

METRIC = "top-1"
_TOP = 5


class ClassificationScorer:
    """Scores predictions on one labelled data set; an image's id is its row in the labels."""

    metric = METRIC

    def __init__(self, annotations: bytes, class_names: list[str]) -> None:
        self._labels = [label for _, label in read_labels(annotations, file="annotations")]
        worst = max(self._labels)
        if worst >= len(class_names):
            raise ConfigError(
                f"found the label {worst}, expected 0 to {len(class_names) - 1} as the model's classes are",
                code="dataset.classes",
            )

    def value(self, images: Sequence[ImagePrediction]) -> tuple[float, dict[str, float]]:
        """Return top-1 on these images, and top-5."""
        among = [self._label(image) in [index for index, _ in image.classes[:_TOP]] for image in images]
        return float(self.matches(images).mean()), {"top-5": sum(among) / len(among)}

    def matches(self, images: Sequence[ImagePrediction]) -> Floats:
        """Return 1 for each image whose best class is its label, else 0."""
        return np.array(
            [float(bool(image.classes) and image.classes[0][0] == self._label(image)) for image in images]
        )

    def weighted(self, matches: Floats, weights: Floats) -> Floats:
        """Return the metric for each weighting of the images."""
        return np.asarray(weights @ matches / weights.sum(axis=1))

    def _label(self, image: ImagePrediction) -> int:
        if not 0 <= image.image_id < len(self._labels):
            raise ConfigError(
                f"found a prediction for image {image.image_id}, expected 0 to {len(self._labels) - 1}",
                code="predictions.image",
            )
        return self._labels[image.image_id]
