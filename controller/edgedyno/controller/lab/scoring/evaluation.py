"""One labelled data set: accuracy with its interval, and the drop against a baseline on the same images."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from edgedyno.controller.lab.scoring.bootstrap import MIN_IMAGES
from edgedyno.controller.lab.scoring.classification import ClassificationScorer
from edgedyno.controller.lab.scoring.detection import DetectionScorer
from edgedyno.core.errors import ConfigError, EdgedynoError
from edgedyno.core.result import Accuracy, Bounded, Drop, ImagePrediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
    both = {"ours": predictions} if baseline is None else {"ours": predictions, "reference": baseline}
    found = score_set(
        both,
        annotations=annotations,
        class_names=class_names,
        reference=None if baseline is None else "reference",
        task=task,
    )["ours"]
    if isinstance(found, EdgedynoError):
        raise found
    return found


def score_set(
    predictions: Mapping[str, Predictions],
    *,
    annotations: bytes,
    class_names: list[str],
    reference: str | None,
    task: Task = "detect",
) -> dict[str, Score | EdgedynoError]:
    """Score each of `predictions` on all of their images and compare it with the one named `reference`.

    What cannot be scored is the error that says why.
    """
    images = [image.image_id for one in predictions.values() for image in one.images]
    try:
        evaluation = Evaluation(scorer_of(task, annotations, class_names), list(dict.fromkeys(images)))
    except EdgedynoError as error:
        return dict.fromkeys(predictions, error)
    scored = {name: _tried(evaluation, one) for name, one in predictions.items()}
    theirs = None if reference is None else scored[reference]
    return {
        name: one if isinstance(one, EdgedynoError) else _against(evaluation, one, theirs)
        for name, one in scored.items()
    }


def _tried(evaluation: Evaluation, predictions: Predictions) -> Scored | EdgedynoError:
    try:
        return evaluation.scored(predictions)
    except EdgedynoError as error:
        return error


def _against(evaluation: Evaluation, ours: Scored, theirs: Scored | EdgedynoError | None) -> Score:
    if theirs is None:
        return Score(ours.accuracy, drop_reason="there is no FP32 result to compare with")
    if theirs is ours:
        return Score(ours.accuracy, drop_reason="this is the FP32 reference")
    if isinstance(theirs, EdgedynoError):
        return Score(ours.accuracy, drop_reason=f"the FP32 result cannot be scored: {theirs}")
    return evaluation.compare(ours, theirs)


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
        count = len(self._image_ids)
        self._resampling = scorer.resampling(count) if count >= MIN_IMAGES else None

    def scored(self, predictions: Predictions) -> Scored:
        """Return the accuracy of one set of predictions, and what comparing it needs."""
        images = self._images(predictions)
        failed = [image.error for image in images if image.error is not None]
        if len(failed) == len(images):
            raise ConfigError(f"no image has a prediction: {failed[0]}", code="predictions.none")
        point, matches = self._scorer.point(images)
        missing = {"images_without_prediction": len(failed), "images_without_labels": self._unlabelled}
        details = point.details | {name: float(count) for name, count in missing.items() if count}
        draws = self._resampling
        resampled = self._scorer.resampled(matches, draws.counts) if draws else None
        low, high = self._bounds(point.value, resampled.overall if resampled else None, len(images))
        if low is not None and high is not None:
            low, high = max(0.0, low), min(1.0, high)
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
        before, after, images = reference.resampled, ours.resampled, ours.accuracy.images
        lost = before.overall - after.overall if before and after else None
        drop = reference.point.value - ours.point.value
        low, high = self._bounds_of_drop(drop, lost, images)
        return Score(ours.accuracy, Drop(drop, low, high, self._by_class(ours, reference)))

    def _by_class(self, ours: Scored, reference: Scored) -> dict[str, Bounded]:
        found = {}
        for name, value in ours.point.classes.items():
            before, after = reference.resampled, ours.resampled
            lost = before.classes[name] - after.classes[name] if before and after else None
            drop = reference.point.classes[name] - value
            found[name] = Bounded(drop, *self._bounds_of_drop(drop, lost, ours.point.shown[name]))
        return found

    def _bounds(
        self, estimate: float, values: Floats | None, images: int
    ) -> tuple[float | None, float | None]:
        if self._resampling is None or values is None:
            return None, None
        return self._resampling.bounds(estimate, values, images) or (None, None)

    def _bounds_of_drop(
        self, drop: float, lost: Floats | None, images: int
    ) -> tuple[float | None, float | None]:
        if self._resampling is None or lost is None:
            return None, None
        return self._resampling.bounds_of_difference(drop, lost, images) or (None, None)

    def _images(self, predictions: Predictions) -> list[ImagePrediction]:
        """Return the predictions in the data set's order; what is missing counts as an error."""
        by_id = {image.image_id: image for image in predictions.images}
        return [
            by_id.get(image_id) or ImagePrediction(image_id, error="no prediction was made")
            for image_id in self._image_ids
        ]


def _digest(images: Sequence[ImagePrediction]) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(images)).digest()
