"""COCO's average precision of each class for many weightings of the images at once.

Weighting an image by a whole number equals having it that often: equal detections follow each other, and
precision is only read where recall rises. Only detections that hit are looked at one by one; those between
them are counted. Each row holds one number for every weighting, so the work is a few additions of whole rows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.controller.lab.scoring.matching import IOU_THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.scoring.matching import ClassMatches

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Counts = NDArray[np.int32]
    Flags = NDArray[np.bool_]

_RECALLS = np.linspace(0.0, 1.0, 101)
# Hits times weightings at once: 16 MiB an array.
_MAX_CELLS = 2 << 20
_MIN_COLUMNS = 64


def average_precisions(matches: Sequence[ClassMatches], counts: Counts) -> Floats:
    """Return a row per class and a column per weighting; NaN where a class has no labelled box.

    `counts` has a row per image and a column per weighting: how often the image counts.
    """
    found = np.empty((len(matches), counts.shape[1]))
    for row, one in zip(found, matches, strict=True):
        most = int(one.hit.sum(axis=1).max(initial=1))
        columns = max(_MIN_COLUMNS, _MAX_CELLS // max(1, most))
        for start in range(0, counts.shape[1], columns):
            row[start : start + columns] = _of_class(one, counts[:, start : start + columns])
    return found


def mean_over_classes(precisions: Floats) -> Floats:
    """Return mAP: classes without a labelled box are left out of its mean."""
    present = np.isfinite(precisions)
    sums, classes = np.where(present, precisions, 0.0).sum(axis=0), present.sum(axis=0)
    return np.asarray(np.divide(sums, classes, out=np.full(len(sums), np.nan), where=classes > 0))


def _of_class(one: ClassMatches, counts: Counts) -> Floats:
    boxes = np.zeros(counts.shape[1], dtype=np.int32)
    for image in one.box_image.tolist():
        boxes += counts[image]
    reached, offset = _reached(boxes)
    places = np.flatnonzero(one.hit.any(axis=0))
    seen = _seen(one.image, places, np.ones(len(one.image), dtype=bool), counts)
    total = np.zeros(counts.shape[1])
    for hit, ignored in zip(one.hit, one.ignored, strict=True):
        chosen = np.flatnonzero(hit[places])
        if not chosen.size:
            continue
        so_far = seen[chosen]
        if ignored.any():
            so_far -= _seen(one.image, places[chosen], ignored, counts)
        total += _area(_cumulated(one.image[places[chosen]], counts), so_far, reached, offset)
    return np.where(boxes > 0, total / len(IOU_THRESHOLDS), np.nan)


def _seen(image: Ints, places: Ints, which: Flags, counts: Counts) -> Counts:
    """Return how many detections of `which` there are up to and with each of `places`."""
    out = np.empty((len(places), counts.shape[1]), dtype=np.int32)
    running = np.zeros(counts.shape[1], dtype=np.int32)
    begin = 0
    for row, place in enumerate(places.tolist()):
        for index in image[begin : place + 1][which[begin : place + 1]].tolist():
            running += counts[index]
        out[row] = running
        begin = place + 1
    return out


def _cumulated(image: Ints, counts: Counts) -> Counts:
    """Return the hits so far at each hit."""
    out = counts[image]
    # numpy's own accumulation down the columns takes twenty times as long.
    for above, row in pairwise(out):
        np.add(above, row, out=row)
    return out


def _reached(boxes: Counts) -> tuple[NDArray[np.uint8], Ints]:
    """Return how many of the 101 recalls are reached by each count of hits, for each number of boxes.

    As one long table, and where in it each weighting's part begins. Recall 0 is reached by the first hit that
    counts, not before.
    """
    numbers, which = np.unique(boxes, return_inverse=True)
    tables = [
        np.searchsorted(_RECALLS, np.arange(number + 1) / max(number, 1), side="right").astype(np.uint8)
        for number in numbers.tolist()
    ]
    for table in tables:
        table[0] = 0
    begins = np.cumsum([0, *(len(table) for table in tables[:-1])])
    return np.concatenate(tables), begins[which]


def _area(hits: Counts, seen: Counts, reached: NDArray[np.uint8], offset: Ints) -> Floats:
    """Return the mean over 101 recalls of the best precision at that recall or beyond."""
    best = np.divide(hits, seen, out=np.zeros(hits.shape), where=seen > 0)
    for below, row in pairwise(best[::-1]):
        np.maximum(row, below, out=row)
    recalls = reached.take(hits + offset)
    gained = np.diff(recalls, axis=0, prepend=np.uint8(0))
    return np.asarray(np.einsum("ij,ij->j", best, gained) / len(_RECALLS))
