"""Detections of many images as columns: what they are matched, compared and scored by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.core.result import ImagePrediction

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# A place where no image has anything.
_NOWHERE = (-1e6, -1e6, 1.0, 1.0)


class Detections(NamedTuple):
    """One row a detection, image by image in their order."""

    image: Ints
    """Position of its image."""
    class_index: Ints
    box: Floats
    """x, y, width, height in pixels."""
    score: Floats
    unusable: int = 0
    """How many had a number that is none, or a negative size: they count as found where nothing is."""

    def above(self, threshold: float) -> Detections:
        """Return those with at least this score."""
        kept = self.score >= threshold
        return Detections(self.image[kept], self.class_index[kept], self.box[kept], self.score[kept])


def in_columns(images: Sequence[ImagePrediction], *, classes: int) -> Detections:
    """Return the detections of `images`, in this order.

    Raises ConfigError (predictions.class) for a class that the model does not have.
    """
    rows = np.array(
        [
            (one.x, one.y, one.width, one.height, one.score, one.class_index)
            for image in images
            for one in image.detections
        ],
        dtype=np.float64,
    ).reshape(-1, 6)
    position = np.repeat(np.arange(len(images)), [len(image.detections) for image in images])
    box, score, class_index = rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)
    _check_classes(class_index, classes)
    placed = np.isfinite(box).all(axis=1) & (box[:, 2:] >= 0).all(axis=1)
    scored = np.isfinite(score)
    box[~placed] = _NOWHERE
    box[~scored] = _NOWHERE
    return Detections(
        position, class_index, box, np.where(scored, score, 0.0), int((~(placed & scored)).sum())
    )


def _check_classes(class_index: Ints, classes: int) -> None:
    beyond = class_index[(class_index < 0) | (class_index >= classes)]
    if beyond.size:
        raise ConfigError(
            f"found a detection of class {beyond[0]}, expected 0 to {classes - 1}: the model has more classes "
            "than its profile names",
            code="predictions.class",
        )
