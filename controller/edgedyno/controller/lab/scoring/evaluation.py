"""One labelled data set: accuracy with its interval, and the drop against a baseline on the same images."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from edgedyno.controller.lab.scoring.bootstrap import RESAMPLES, counts_of, interval
from edgedyno.controller.lab.scoring.classification import ClassificationScorer
from edgedyno.controller.lab.scoring.detection import DetectionScorer
from edgedyno.core.errors import ConfigError, EdgedynoError
from edgedyno.core.result import Accuracy, Bounded, Drop, ImagePrediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.controller.lab.scoring.scorer import Floats, Point, Resampled, Scorer
    from edgedyno.core.profile import Task

_SCORERS: dict[str, Callable[[bytes, list[str]], Scorer]] = {
    "detect": DetectionScorer,
    "classify": ClassificationScorer,
}


class Score(Struct, frozen=True):
    """An accuracy, and the drop against the baseline or why there is none."""

    accuracy: Accuracy
    drop: Drop | None = None
    drop_reason: str | None = None


class Scored(NamedTuple):
    """Predictions that were scored, without the predictions themselves."""

    accuracy: Accuracy
    point: Point
    resampled: Resampled | None
    """The score by column of the counts; None where there are too few images."""
    preparation_sha256: str
    content: bytes
    """Digest of what was predicted."""


def score(
    predictions: Predictions,
    *,
    annotations: bytes,
    class_names: list[str],
    baseline: Predictions | None,
    task: Task = "detect",
) -> Score:
    """Score `predictions` and, if there is one, compare with `baseline` on the same images.

    An image without a prediction counts as one where nothing was found. Raises ConfigError when no image has
    a prediction (predictions.none), or when predictions and labels do not fit each other.
    """
    images = [image.image_id for image in predictions.images]
    evaluation = Evaluation(scorer_of(task, annotations, class_names), images)
    ours = evaluation.scored(predictions)
    if baseline is None:
        return Score(ours.accuracy, drop_reason="there is no FP32 result to compare with")
    try:
        reference = evaluation.scored(baseline)
    except EdgedynoError as error:
        return Score(ours.accuracy, drop_reason=f"the FP32 result cannot be scored: {error}")
    return evaluation.compare(ours, reference)


def scorer_of(task: Task, annotations: bytes, class_names: list[str]) -> Scorer:
    """Return what scores predictions of this task on these labels."""
    return _SCORERS[task](annotations, class_names)


class Evaluation:
    """One data set's labels, images and resamples, for any number of predictions."""

    def __init__(self, scorer: Scorer, image_ids: Sequence[int]) -> None:
        self._scorer = scorer
        self._image_ids = scorer.labelled(image_ids)
        self._unlabelled = len(image_ids) - len(self._image_ids)
        if not self._image_ids:
            raise ConfigError(
                f"none of the {len(image_ids)} images is in the annotations: they are of other images",
                code="dataset.annotations",
            )
        self._counts = counts_of(len(self._image_ids))

    def scored(self, predictions: Predictions) -> Scored:
        """Return the accuracy of one set of predictions, and what comparing it needs."""
        images = self._images(predictions)
        failed = [image.error for image in images if image.error is not None]
        if len(failed) == len(images):
            raise ConfigError(f"no image has a prediction: {failed[0]}", code="predictions.none")
        point, matches = self._scorer.point(images)
        missing = {"images_without_prediction": len(failed), "images_without_labels": self._unlabelled}
        details = point.details | {name: float(count) for name, count in missing.items() if count}
        resampled = None if self._counts is None else self._scorer.resampled(matches, self._counts)
        low, high = _bounds(point.value, None if resampled is None else resampled.overall)
        accuracy = Accuracy(self._scorer.metric, point.value, low, high, len(images), details, point.classes)
        return Scored(accuracy, point, resampled, predictions.preparation_sha256, _digest(images))

    def compare(self, ours: Scored, reference: Scored) -> Score:
        """Return the accuracy of `ours`, and what it lost against `reference`."""
        if reference.preparation_sha256 != ours.preparation_sha256:
            reason = "FP32 saw differently prepared inputs: no fair comparison"
            return Score(ours.accuracy, drop_reason=reason)
        if reference.content == ours.content:
            same = {name: Bounded(0.0, 0.0, 0.0) for name in ours.point.classes}
            return Score(ours.accuracy, Drop(0.0, 0.0, 0.0, same))
        whole = _difference(reference.point.value, ours.point.value, _overall(reference), _overall(ours))
        classes = {
            name: _difference(
                reference.point.classes[name], value, _of_class(reference, name), _of_class(ours, name)
            )
            for name, value in ours.point.classes.items()
            if name in reference.point.classes
        }
        return Score(ours.accuracy, Drop(whole.value, whole.low, whole.high, classes))

    def _images(self, predictions: Predictions) -> list[ImagePrediction]:
        """Return the predictions in the data set's order; what is missing counts as an error."""
        by_id = {image.image_id: image for image in predictions.images}
        return [
            by_id.get(image_id) or ImagePrediction(image_id, error="no prediction was made")
            for image_id in self._image_ids
        ]


def _digest(images: Sequence[ImagePrediction]) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(images)).digest()


def _overall(scored: Scored) -> Floats | None:
    return None if scored.resampled is None else scored.resampled.overall


def _of_class(scored: Scored, name: str) -> Floats | None:
    return None if scored.resampled is None else scored.resampled.classes[name]


def _difference(theirs: float, ours: float, before: Floats | None, after: Floats | None) -> Bounded:
    lost = None if before is None or after is None else before - after
    return Bounded(theirs - ours, *_bounds(theirs - ours, lost))


def _bounds(estimate: float, values: Floats | None) -> tuple[float | None, float | None]:
    """Return the interval, from resampled and jackknifed values in this order."""
    if values is None:
        return None, None
    return interval(estimate, values[:RESAMPLES], values[RESAMPLES:]) or (None, None)
