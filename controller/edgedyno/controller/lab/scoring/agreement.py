"""How far two sets of predictions see the same in the same images: no labels are needed, and none are judged.

Both are looked at above one score, as a deployment would: a detection that falls below it is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.controller.lab.scoring.bootstrap import CONFIDENCE, RESAMPLES, counts_of, interval
from edgedyno.controller.lab.scoring.detections import Detections, in_columns
from edgedyno.controller.lab.scoring.matching import Labels, choose, limited, pairs_of
from edgedyno.core.errors import ConfigError
from edgedyno.core.result import Agreement, Bounded, ImagePrediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.core.profile import Task
    from edgedyno.core.result import Predictions

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]

SCORE_THRESHOLD = 0.3
IOU_THRESHOLD = 0.5


class Sight(NamedTuple):
    """What was predicted, as far as comparing it needs."""

    preparation_sha256: str
    predicted: Flags
    """Whether there is a prediction, by image."""
    found: Detections
    """Those above the threshold; empty for a classifier."""
    best: NDArray[np.int64]
    """Best class by image, -1 where there is none; of a classifier."""


def sight_of(predictions: Predictions, image_ids: Sequence[int], *, classes: int) -> Sight:
    """Return what was predicted for these images. Raises ConfigError (predictions.class)."""
    by_id = {image.image_id: image for image in predictions.images}
    images = [by_id.get(one) or ImagePrediction(one, error="no prediction was made") for one in image_ids]
    return Sight(
        predictions.preparation_sha256,
        np.array([image.error is None for image in images], dtype=bool),
        in_columns(images, classes=classes).above(SCORE_THRESHOLD),
        np.array([image.classes[0][0] if image.classes else -1 for image in images], dtype=np.int64),
    )


def agreement(ours: Sight, reference: Sight, task: Task) -> Agreement:
    """Compare with the reference on the images for which that has a prediction; one that we lack is no match.

    Raises ConfigError (predictions.agreement) where there is nothing to compare.
    """
    if ours.preparation_sha256 != reference.preparation_sha256:
        raise _nothing("FP32 saw differently prepared inputs: no fair comparison")
    if not reference.predicted.any():
        raise _nothing("FP32 has no prediction")
    return _detections(ours, reference) if task == "detect" else _classes(ours, reference)


def _nothing(text: str) -> ConfigError:
    return ConfigError(text, code="predictions.agreement")


def _classes(ours: Sight, reference: Sight) -> Agreement:
    kept = reference.predicted
    same = (ours.best[kept] == reference.best[kept]) & ours.predicted[kept]
    return Agreement(_share(same.astype(np.float64), np.ones(len(same))), len(same))


def _detections(ours: Sight, reference: Sight) -> Agreement:
    images = int(reference.predicted.sum())
    theirs = reference.found
    if not theirs.score.size:
        raise _nothing(
            f"FP32 finds nothing with a score of {SCORE_THRESHOLD} or more in {images} images: there is "
            "nothing to find again"
        )
    found = limited(_within(ours.found, reference.predicted))
    order = np.lexsort((theirs.class_index, theirs.image))
    crowd = np.zeros(len(order), dtype=bool)
    labels = Labels(theirs.image[order], theirs.class_index[order], theirs.box[order], crowd)
    pairs = pairs_of(found, labels)
    chosen = choose(pairs, crowd, IOU_THRESHOLD)
    shifts = found.score[chosen.detections] - theirs.score[order][chosen.labels]
    size = len(reference.predicted)
    matched = np.bincount(labels.image[chosen.labels], minlength=size)[reference.predicted]
    there = np.bincount(labels.image, minlength=size)[reference.predicted]
    return Agreement(
        matched=_share(matched.astype(np.float64), there.astype(np.float64)),
        images=images,
        extra=1 - len(chosen.detections) / len(found.score) if found.score.size else None,
        mean_iou=float(np.mean(chosen.overlaps)) if chosen.overlaps else None,
        score_shift=float(shifts.mean()) if shifts.size else None,
        score_threshold=SCORE_THRESHOLD,
        iou_threshold=IOU_THRESHOLD,
    )


def _within(found: Detections, images: Flags) -> Detections:
    kept = images[found.image]
    return Detections(found.image[kept], found.class_index[kept], found.box[kept], found.score[kept])


def _share(matched: Floats, there: Floats) -> Bounded:
    """Return the share of what is there that was matched, with its interval over images."""
    value = float(matched.sum() / there.sum())
    counts = counts_of(len(there))
    if counts is None:
        return Bounded(value)
    columns = counts.T.astype(np.float64)
    drawn = columns @ there
    shares = np.divide(columns @ matched, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0)
    bounds = interval(value, shares[:RESAMPLES], shares[RESAMPLES:]) or _at_the_end(value, there)
    return Bounded(value, *bounds)


def _at_the_end(value: float, there: Floats) -> tuple[float | None, float | None]:
    """Return the interval where all or nothing was matched, with an image as one try.

    That of a share of 1 or 0 (Clopper and Pearson, Biometrika 26, 1934).
    """
    room = ((1 - CONFIDENCE) / 2) ** (1 / int((there > 0).sum()))
    if value == 1:
        return room, 1.0
    return (0.0, 1 - room) if value == 0 else (None, None)
