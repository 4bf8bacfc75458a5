"""Predictions become accuracy with its interval, and the drop against FP32 on the same images."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from edgedyno.controller.lab.bootstrap import MIN_IMAGES, draw_weights, interval, leave_out
from edgedyno.controller.lab.classification_score import ClassificationScorer
from edgedyno.controller.lab.detection_score import DetectionScorer
from edgedyno.core.errors import ConfigError, EdgedynoError
from edgedyno.core.predictions import read_predictions
from edgedyno.core.result import Accuracy, Drop, ImagePrediction, Predictions, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.profile import Task

logger = logging.getLogger(__name__)

_SCORERS: dict[str, Callable[[bytes, list[str]], Any]] = {
    "detect": DetectionScorer,
    "classify": ClassificationScorer,
}


class Score(Struct, frozen=True):
    """An accuracy, and the drop against the baseline or why there is none."""

    accuracy: Accuracy
    drop: Drop | None = None
    drop_reason: str | None = None


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
    scorer = _SCORERS[task](annotations, class_names)
    images = [image.image_id for image in predictions.images]
    return _Scoring(scorer, images).score(predictions, baseline)


class _Scoring:
    """One data set's labels, images and resamples, for any number of predictions."""

    def __init__(self, scorer: Any, image_ids: Sequence[int]) -> None:
        self._scorer = scorer
        self._image_ids = list(image_ids)
        count = len(self._image_ids)
        self._enough = count >= MIN_IMAGES
        self._weights = draw_weights(count) if self._enough else np.ones((1, count))
        self._left_out = leave_out(count) if self._enough else np.ones((1, count))
        self._resampled: dict[int, tuple[Any, Any]] = {}

    def score(self, predictions: Predictions, baseline: Predictions | None) -> Score:
        """Return accuracy and drop of one set of predictions."""
        value, accuracy = self._accuracy(predictions)
        if baseline is None:
            return Score(accuracy, drop_reason="there is no FP32 result to compare with")
        if baseline.preparation_sha256 != predictions.preparation_sha256:
            return Score(accuracy, drop_reason="FP32 saw differently prepared inputs: no fair comparison")
        try:
            reference, _ = self._accuracy(baseline)
        except EdgedynoError as error:
            return Score(accuracy, drop_reason=f"the FP32 result cannot be scored: {error}")
        if baseline.images == predictions.images:
            return Score(accuracy, Drop(0.0, 0.0, 0.0))
        pairs = zip(self._resample(baseline), self._resample(predictions), strict=True)
        bounds = self._interval(reference - value, *(theirs - ours for theirs, ours in pairs))
        return Score(accuracy, Drop(reference - value, *bounds))

    def _accuracy(self, predictions: Predictions) -> tuple[float, Accuracy]:
        images = self._images(predictions)
        failed = [image.error for image in images if image.error is not None]
        if len(failed) == len(images):
            raise ConfigError(f"no image has a prediction: {failed[0]}", code="predictions.none")
        value, details = self._scorer.value(images)
        if failed:
            details = {**details, "images_without_prediction": float(len(failed))}
        bounds = self._interval(value, *self._resample(predictions))
        return value, Accuracy(self._scorer.metric, value, *bounds, len(images), details)

    def _images(self, predictions: Predictions) -> list[ImagePrediction]:
        """Return the predictions in the data set's order; what is missing counts as an error."""
        by_id = {image.image_id: image for image in predictions.images}
        return [
            by_id.get(image_id) or ImagePrediction(image_id, error="no prediction was made")
            for image_id in self._image_ids
        ]

    def _resample(self, predictions: Predictions) -> tuple[Any, Any]:
        """Return the metric's resampled and jackknifed values, once for each set of predictions."""
        key = id(predictions)
        if key not in self._resampled:
            matches = self._scorer.matches(self._images(predictions))
            self._resampled[key] = (
                self._scorer.weighted(matches, self._weights),
                self._scorer.weighted(matches, self._left_out),
            )
        return self._resampled[key]

    def _interval(
        self, estimate: float, resampled: Any, jackknifed: Any
    ) -> tuple[float | None, float | None]:
        bounds = interval(estimate, resampled, jackknifed) if self._enough else None
        return bounds or (None, None)


def score_results(
    results: Sequence[Result], *, read: Callable[[str], bytes], resolved: ResolvedJob
) -> list[Result]:
    """Return the results with accuracy and drop filled in, or the reasons why they are not.

    Predictions are made once for each variant and runtime on a board; trials that differ only in threads or
    cores share them. The baseline is FP32 on the same board and runtime or, where that runtime ran none, on the
    same board.
    """
    try:
        scoring = _scoring_of(resolved, read)
    except EdgedynoError as error:
        return [_without(result, str(error)) for result in results]
    return _Job(results, read, scoring).scored()


def _scoring_of(resolved: ResolvedJob, read: Callable[[str], bytes]) -> _Scoring:
    if resolved.dataset is None or not resolved.images:
        raise ConfigError("the job names no data set", code="dataset.none")
    if resolved.annotations is None:
        raise ConfigError(
            f"data set {resolved.dataset.name!r} has no annotations", code="dataset.no-annotations"
        )
    scorer = _SCORERS[resolved.model.task](read(resolved.annotations.sha256), resolved.class_names)
    return _Scoring(scorer, [image.id for image in resolved.images])


def _without(result: Result, reason: str) -> Result:
    """Return the result without accuracy; where the board made no predictions, its own reason stays."""
    said = result.accuracy_reason if result.predictions_sha256 is None else None
    return msgspec.structs.replace(
        result,
        accuracy=None,
        accuracy_reason=said or reason,
        accuracy_drop=None,
        accuracy_drop_reason=result.accuracy_drop_reason or "there is no accuracy",
    )


_Place = tuple[str, str, "str | None"]


class _Job:
    """The results of one job while they are scored."""

    def __init__(self, results: Sequence[Result], read: Callable[[str], bytes], scoring: _Scoring) -> None:
        self._results = results
        self._read = read
        self._scoring = scoring
        self._read_before: dict[str, Predictions] = {}
        self._scored: dict[tuple[str, str | None], Score] = {}
        self._by_variant: dict[tuple[_Place, str | None], str] = {}
        self._references: dict[_Place, str] = {}
        self._board_references: dict[str, str] = {}
        for result in results:
            if result.predictions_sha256 is not None and result.status == "ok":
                place = _place(result)
                self._by_variant.setdefault((place, result.variant_sha256), result.predictions_sha256)
                if result.precision == "fp32":
                    self._references.setdefault(place, result.predictions_sha256)
                    self._board_references.setdefault(result.board, result.predictions_sha256)

    def scored(self) -> list[Result]:
        """Return every result with what can be said of its accuracy."""
        return [self._fill(result) for result in self._results]

    def _fill(self, result: Result) -> Result:
        if result.status != "ok":
            return _without(result, f"the trial is {result.status}")
        ours = result.predictions_sha256 or self._by_variant.get((_place(result), result.variant_sha256))
        if ours is None:
            return _without(result, "the board made no predictions")
        try:
            found = self._score(result, ours)
        except EdgedynoError as error:
            return _without(result, str(error))
        except msgspec.MsgspecError as error:
            logger.warning("predictions cannot be read", extra={"sha256": ours}, exc_info=True)
            return _without(result, f"the predictions cannot be read: {error}")
        return msgspec.structs.replace(
            result,
            accuracy=found.accuracy,
            accuracy_reason=None,
            accuracy_drop=found.drop,
            accuracy_drop_reason=found.drop_reason,
        )

    def _score(self, result: Result, ours: str) -> Score:
        predictions = self._predictions(ours)
        if predictions.variant_sha256 != result.variant_sha256:
            raise ConfigError("the predictions are of another variant", code="predictions.variant")
        if result.precision == "fp32":
            found = self._once(ours, None)
            return Score(found.accuracy, drop_reason="this is the FP32 reference")
        # What FP32 finds hardly depends on the runtime (tests/conformance); some runtimes have no FP32 at all.
        reference = self._references.get(_place(result)) or self._board_references.get(result.board)
        found = self._once(ours, reference)
        if reference is None:
            reason = f"there is no FP32 result on {result.board} to compare with"
            return Score(found.accuracy, drop_reason=reason)
        return found

    def _once(self, ours: str, reference: str | None) -> Score:
        key = (ours, reference)
        if key not in self._scored:
            baseline = None if reference is None else self._predictions(reference)
            self._scored[key] = self._scoring.score(self._predictions(ours), baseline)
        return self._scored[key]

    def _predictions(self, sha256: str) -> Predictions:
        if sha256 not in self._read_before:
            self._read_before[sha256] = read_predictions(self._read(sha256))
        return self._read_before[sha256]


def _place(result: Result) -> _Place:
    """Return what FP32 and a variant must have in common to be compared."""
    return result.board, result.runtime, result.runtime_version
