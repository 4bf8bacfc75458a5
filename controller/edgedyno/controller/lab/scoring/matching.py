"""Which detections hit a labelled box, as COCO's evaluation matches them: once, whatever is resampled later.

The score itself comes from a library; this is for its interval, for which the library's evaluation would
have to run a thousand times. A test holds the two against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgedyno.controller.lab.scoring.detections import Detections

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# COCO's limit, per image and class.
MAX_DETECTIONS = 100
# Pairs of a detection and a labelled box at once: 40 MiB an array.
_MAX_PAIRS = 5 << 20


class Labels(NamedTuple):
    """Labelled boxes by image and class; equal ones stay in the annotations' order."""

    image: Ints
    """Position of the box's image."""
    class_index: Ints
    box: Floats
    crowd: Flags

    def ordered(self) -> Labels:
        """Return them sorted by image and class."""
        order = np.lexsort((self.class_index, self.image))
        return Labels(self.image[order], self.class_index[order], self.box[order], self.crowd[order])


class ClassMatches(NamedTuple):
    """One class: its detections in all images, best first, up to the last that hits anything."""

    class_index: int
    image: Ints
    """Position of each detection's image."""
    hit: Flags
    """Row per IoU threshold, column per detection."""
    ignored: Flags
    """True where a detection lies in a crowd box and counts neither way."""
    box_image: Ints
    """Position of the image of each labelled box that is no crowd."""


class Pairs(NamedTuple):
    """Detections that overlap a labelled box of their class, in the order in which they may choose one."""

    detection: Ints
    label: Ints
    overlap: Floats


class Chosen(NamedTuple):
    """Detections that took a labelled box, the boxes with the overlap, and detections that lie in a crowd."""

    detections: list[int]
    labels: list[int]
    overlaps: list[float]
    ignored: list[int]


def match(found: Detections, labels: Labels) -> list[ClassMatches]:
    """Match detections to `labels`, which are ordered; classes without a labelled box are left out."""
    found = limited(found)
    pairs = pairs_of(found, labels)
    hit = np.zeros((len(IOU_THRESHOLDS), len(found.score)), dtype=bool)
    ignored = np.zeros_like(hit)
    for row, threshold in enumerate(IOU_THRESHOLDS.tolist()):
        chosen = choose(pairs, labels.crowd, threshold)
        hit[row, chosen.detections] = True
        ignored[row, chosen.ignored] = True
    return [_of_class(class_index, found, labels, hit, ignored) for class_index in _classes(labels)]


def _classes(labels: Labels) -> list[int]:
    counted: list[int] = np.unique(labels.class_index[~labels.crowd]).tolist()
    return counted


def limited(found: Detections) -> Detections:
    """Return the best of each image and class, in the order in which COCO's evaluation takes them."""
    order = np.lexsort((-found.score, found.class_index, found.image))
    image, class_index = found.image[order], found.class_index[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (image[1:] != image[:-1]) | (class_index[1:] != class_index[:-1])
    starts = np.flatnonzero(begins)
    place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    order = order[place < MAX_DETECTIONS]
    return found._replace(
        image=found.image[order],
        class_index=found.class_index[order],
        box=found.box[order],
        score=found.score[order],
    )


def pairs_of(found: Detections, labels: Labels) -> Pairs:
    """Pair detections with the labelled boxes that they overlap; both are ordered."""
    width = 1 + max(found.class_index.max(initial=0), labels.class_index.max(initial=0))
    ours, theirs = found.image * width + found.class_index, labels.image * width + labels.class_index
    first = np.searchsorted(theirs, ours, side="left")
    count = np.searchsorted(theirs, ours, side="right") - first
    parts = [_overlapping(rows, first[rows], count[rows], found, labels) for rows in _slices(count)]
    if not parts:
        return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    detection = np.concatenate([part.detection for part in parts])
    label = np.concatenate([part.label for part in parts])
    overlap = np.concatenate([part.overlap for part in parts])
    # A crowd box is taken where no other is left; of equal overlaps COCO takes the last.
    order = np.lexsort((-label, -overlap, labels.crowd[label], detection))
    return Pairs(detection[order], label[order], overlap[order])


def _slices(count: Ints) -> Iterator[Ints]:
    """Yield the detections that have candidates, in parts of bounded work."""
    rows = np.flatnonzero(count)
    if rows.size:
        part = count[rows].cumsum() // _MAX_PAIRS
        yield from np.split(rows, np.flatnonzero(np.diff(part)) + 1)


def _overlapping(rows: Ints, first: Ints, count: Ints, found: Detections, labels: Labels) -> Pairs:
    """Pair each detection with the labelled boxes of its image and class; keep what overlaps enough."""
    detection = np.repeat(rows, count)
    offset = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    label = np.repeat(first, count) + offset
    overlap = _overlaps(found.box[detection], labels.box[label], labels.crowd[label])
    kept = overlap >= IOU_THRESHOLDS[0]
    return Pairs(detection[kept], label[kept], overlap[kept])


def _overlaps(ours: Floats, theirs: Floats, is_crowd: Flags) -> Floats:
    """Return intersection over union of boxes row by row, for crowds intersection over the detection's area."""
    high = np.minimum(ours[:, :2] + ours[:, 2:], theirs[:, :2] + theirs[:, 2:])
    shared = (high - np.maximum(ours[:, :2], theirs[:, :2])).clip(0).prod(axis=1)
    area, other = ours[:, 2:].prod(axis=1), theirs[:, 2:].prod(axis=1)
    union = np.where(is_crowd, area, area + other - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def choose(pairs: Pairs, crowd: Flags, threshold: float) -> Chosen:
    """Let each detection, in its turn, take the best box that is still free and overlaps enough.

    One that finds none and lies in a crowd counts neither way.
    """
    enough = pairs.overlap >= threshold
    columns = (pairs.detection, pairs.label, pairs.overlap, crowd[pairs.label])
    taken, done = set[int](), -1
    chosen = Chosen([], [], [], [])
    for one, box, overlap, is_crowd in zip(*(column[enough].tolist() for column in columns), strict=True):
        if one == done or box in taken:
            continue
        done = one
        if is_crowd:
            chosen.ignored.append(one)
        else:
            taken.add(box)
            chosen.detections.append(one)
            chosen.labels.append(box)
            chosen.overlaps.append(overlap)
    return chosen


def _of_class(
    class_index: int, found: Detections, labels: Labels, hit: Flags, ignored: Flags
) -> ClassMatches:
    own = np.flatnonzero(found.class_index == class_index)
    order = own[np.argsort(-found.score[own], kind="stable")]
    last = np.flatnonzero(hit[:, order].any(axis=0))
    order = order[: last[-1] + 1] if last.size else order[:0]
    counted = (labels.class_index == class_index) & ~labels.crowd
    return ClassMatches(
        class_index, found.image[order], hit[:, order], ignored[:, order], labels.image[counted]
    )
