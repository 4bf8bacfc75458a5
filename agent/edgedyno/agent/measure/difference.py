"""How far two predictions of the same image differ: scores, boxes, and what only one of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.profile import OutputSpec
    from edgedyno.core.result import Detection, ImagePrediction

SAME_IOU = 0.5


class Difference(NamedTuple):
    """The largest differences of any pair."""

    score: float = 0.0
    """What only one of them has counts with its score above what the other may have left out."""
    box_pixels: float = 0.0

    def joined(self, other: Difference) -> Difference:
        """Return the larger of each."""
        return Difference(max(self.score, other.score), max(self.box_pixels, other.box_pixels))


def difference(one: ImagePrediction, other: ImagePrediction, spec: OutputSpec) -> Difference:
    """Return how far two predictions of an image, decoded as `spec` says, differ.

    Where only one is an error, as far as can be.
    """
    if one == other:
        return Difference()
    if (one.error is None) != (other.error is None):
        return Difference(score=1.0)
    found = Difference(score=_classes(one.classes, other.classes))
    return found.joined(_detections(one.detections, other.detections, spec))


def _classes(one: Sequence[tuple[int, float]], other: Sequence[tuple[int, float]]) -> float:
    first, second = dict(one), dict(other)
    # A class that is not among the best of the other has at most the least score there.
    floors = (min(first.values(), default=0.0), min(second.values(), default=0.0))
    return max(
        (abs(first.get(index, floors[0]) - second.get(index, floors[1])) for index in first.keys() | second),
        default=0.0,
    )


def _floor(boxes: Sequence[Detection], spec: OutputSpec) -> float:
    """Return the score below which boxes may have been left out: a full list ends before the threshold."""
    full = len(boxes) >= spec.max_detections
    return min(each.score for each in boxes) if full else spec.score_threshold


def _detections(one: Sequence[Detection], other: Sequence[Detection], spec: OutputSpec) -> Difference:
    left = list(other)
    floors = [_floor(boxes, spec) for boxes in (one, other)]
    found = Difference()
    for box in one:
        partner = max(
            (each for each in left if each.class_index == box.class_index),
            key=lambda each, box=box: _iou(box, each),  # type: ignore[misc]
            default=None,
        )
        if partner is None or _iou(box, partner) < SAME_IOU:
            found = found.joined(Difference(score=box.score - floors[1]))
            continue
        left.remove(partner)
        found = found.joined(Difference(abs(box.score - partner.score), _farthest(box, partner)))
    for box in left:
        found = found.joined(Difference(score=box.score - floors[0]))
    return found


def _farthest(one: Detection, other: Detection) -> float:
    pairs = ((one.x, other.x), (one.y, other.y), (one.width, other.width), (one.height, other.height))
    return max(abs(first - second) for first, second in pairs)


def _iou(one: Detection, other: Detection) -> float:
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(width, 0.0) * max(height, 0.0)
    whole = one.width * one.height + other.width * other.height - shared
    return shared / whole if whole > 0 else 0.0
