"""Which detections hit a labelled box, and COCO's average precision for any weighting of the images.

The score itself comes from a library; this is for its interval, for which the library's evaluation would
have to run a thousand times. A test holds the two against each other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.coco import CocoBox
    from edgedyno.core.result import Detection, ImagePrediction

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
# COCO's limit, per image and class.
_MAX_DETECTIONS = 100
# Resamples times detections of a class at once: 64 MiB an array.
_MAX_CELLS = 8 << 20


class _ClassMatches(NamedTuple):
    """One class: its detections in all images, best first, and its labelled boxes."""

    image: NDArray[np.intp]
    """Position of each detection's image."""
    hit: Flags
    """Row per IoU threshold, column per detection."""
    counted: Flags
    """False where a detection lies in a crowd box and counts neither way."""
    boxes_per_image: Floats


Matches = list[_ClassMatches]


def match(
    images: Sequence[ImagePrediction], boxes: Sequence[CocoBox], categories: Sequence[int | None]
) -> Matches:
    """Match the detections of each image to the labelled boxes, class by class, as COCO's evaluation does."""
    position = {image.image_id: index for index, image in enumerate(images)}
    labelled: dict[tuple[int, int], list[CocoBox]] = defaultdict(list)
    for box in boxes:
        if box.image_id in position:
            labelled[position[box.image_id], box.category_id].append(box)
    detected: dict[tuple[int, int], list[Detection]] = defaultdict(list)
    for index, image in enumerate(images):
        for detection in image.detections:
            detected[index, detection.class_index].append(detection)
    # Equal scores stay in the order of image ids, as in COCO's evaluation.
    order = sorted(range(len(images)), key=lambda index: images[index].image_id)
    return [
        _match_class(class_index, category, order, detected, labelled)
        for class_index, category in enumerate(categories)
        if category is not None
    ]


def _match_class(
    class_index: int,
    category: int,
    images: Sequence[int],
    detected: dict[tuple[int, int], list[Detection]],
    labelled: dict[tuple[int, int], list[CocoBox]],
) -> _ClassMatches:
    counts = np.zeros(len(images))
    scores, positions, hits, counted = [np.zeros(0)], [np.zeros(0, np.intp)], [_no_flags(0)], [_no_flags(0)]
    for index in images:
        boxes = labelled.get((index, category), [])
        counts[index] = sum(not box.iscrowd for box in boxes)
        found = sorted(detected.get((index, class_index), []), key=lambda one: -one.score)[:_MAX_DETECTIONS]
        hit, crowd = _match_image(found, boxes)
        scores.append(np.array([one.score for one in found]))
        positions.append(np.full(len(found), index, np.intp))
        hits.append(hit)
        counted.append(~crowd)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return _ClassMatches(
        np.concatenate(positions)[order],
        np.concatenate(hits, axis=1)[:, order],
        np.concatenate(counted, axis=1)[:, order],
        counts,
    )


def _no_flags(detections: int) -> Flags:
    return np.zeros((len(IOU_THRESHOLDS), detections), np.bool_)


def _match_image(found: list[Detection], boxes: list[CocoBox]) -> tuple[Flags, Flags]:
    """Give each detection, best first, the free box that it overlaps most; a crowd box takes any number."""
    hit, crowd = _no_flags(len(found)), _no_flags(len(found))
    if not found or not boxes:
        return hit, crowd
    is_crowd = np.array([bool(box.iscrowd) for box in boxes])
    overlap = _overlaps(found, boxes, is_crowd)
    near = np.flatnonzero(overlap.max(axis=1) >= IOU_THRESHOLDS[0])
    for row, threshold in enumerate(IOU_THRESHOLDS):
        free = ~is_crowd
        for column in near:
            single = np.where(free, overlap[column], -1.0)
            # Of equal overlaps COCO takes the last.
            best = len(single) - 1 - int(single[::-1].argmax())
            if single[best] >= threshold:
                free[best] = False
                hit[row, column] = True
            elif is_crowd.any() and overlap[column][is_crowd].max() >= threshold:
                crowd[row, column] = True
    return hit, crowd


def _overlaps(found: list[Detection], boxes: list[CocoBox], is_crowd: Flags) -> Floats:
    """Return intersection over union, for crowd boxes intersection over the detection's area."""
    ours = np.array([(one.x, one.y, one.width, one.height) for one in found])[:, None, :]
    theirs = np.array([box.bbox for box in boxes])[None, :, :]
    high = np.minimum(ours[..., :2] + ours[..., 2:], theirs[..., :2] + theirs[..., 2:])
    shared = (high - np.maximum(ours[..., :2], theirs[..., :2])).clip(0).prod(axis=-1)
    area, other = ours[..., 2:].prod(axis=-1), theirs[..., 2:].prod(axis=-1)
    union = np.where(is_crowd, area, area + other - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def mean_average_precision(matches: Matches, weights: Floats) -> Floats:
    """Return mAP50-95 for each row of `weights`, which say how often each image counts.

    Weighting equals drawing an image several times: equal detections follow each other, and precision is only
    read where recall rises. Classes without a labelled box in a resample are left out of its mean.
    """
    precisions = np.stack([_in_parts(one, weights) for one in matches])
    present = np.isfinite(precisions)
    sums, classes = np.where(present, precisions, 0.0).sum(axis=0), present.sum(axis=0)
    return np.asarray(np.divide(sums, classes, out=np.full(len(weights), np.nan), where=classes > 0))


def _in_parts(one: _ClassMatches, weights: Floats) -> Floats:
    """Bound the memory for data sets of thousands of images."""
    rows = max(1, _MAX_CELLS // max(1, one.image.size))
    parts = [_average_precision(one, weights[at : at + rows]) for at in range(0, len(weights), rows)]
    return np.concatenate(parts)


def _average_precision(one: _ClassMatches, weights: Floats) -> Floats:
    """Return the class's precision averaged over recalls and IoU thresholds; NaN without labelled boxes."""
    boxes = weights @ one.boxes_per_image
    total = np.zeros(len(weights))
    drawn = weights[:, one.image]
    all_count = one.counted.all()
    seen = drawn.cumsum(axis=1) if all_count else None
    for hit, counted in zip(one.hit, one.counted, strict=True):
        columns = np.flatnonzero(hit)
        if not columns.size:
            continue
        so_far = (drawn * counted).cumsum(axis=1) if seen is None else seen
        total += _area(drawn[:, columns].cumsum(axis=1), so_far[:, columns], boxes)
    return np.where(boxes > 0, total / len(IOU_THRESHOLDS), np.nan)


def _area(hits: Floats, detections: Floats, boxes: Floats) -> Floats:
    """Return the mean over 101 recalls of the best precision at that recall or beyond."""
    precision = np.divide(hits, detections, out=np.zeros_like(hits), where=detections > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = np.divide(hits, boxes[:, None], out=np.zeros_like(hits), where=boxes[:, None] > 0)
    reached = np.searchsorted(_RECALLS, recall, side="right")
    # Recall 0 is reached by the first detection that counts, not before.
    reached[hits == 0] = 0
    gained = np.diff(reached, axis=1, prepend=0)
    return np.asarray((best * gained).sum(axis=1) / len(_RECALLS))
