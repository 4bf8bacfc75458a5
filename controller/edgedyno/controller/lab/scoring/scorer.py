"""What scoring needs of a task: a score of some images, and the same for resamples of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.result import ImagePrediction

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]
"""A row per image and a column per weighting: how often the image counts."""


class Point(NamedTuple):
    """A score as it is."""

    value: float
    details: dict[str, float]
    classes: dict[str, float]
    """Of each class that is labelled, by name."""


class Resampled(NamedTuple):
    """A score for each weighting of the images; NaN where there is none."""

    overall: Floats
    classes: dict[str, Floats]


class Scorer(Protocol):
    """Scores predictions on one labelled data set."""

    metric: str

    def labelled(self, image_ids: Sequence[int]) -> list[int]:
        """Return the ids of the images that have labels, in the order in which they are scored."""

    def point(self, images: Sequence[ImagePrediction]) -> tuple[Point, Any]:
        """Return the score, and what `resampled` needs."""

    def resampled(self, matches: Any, counts: Counts) -> Resampled:
        """Return the score for each weighting."""
