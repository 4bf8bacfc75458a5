"""How far a variant's detections in one image differ from FP32's, and which of them do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.result import Detection, ImagePrediction

Kind = Literal["kept", "new", "lost"]
# Fainter detections are neither drawn nor counted as lost or new.
SHOWN_SCORE = 0.3
# One that faded to this is the same object with another score, not a lost one.
FAINT_SCORE = 0.05
MATCHING_IOU = 0.5
_Box = tuple[float, float, float, float]


class Mark(NamedTuple):
    """One box to draw."""

    kind: Kind
    detection: Detection


class Change(NamedTuple):
    """What became of FP32's detections in one image."""

    marks: list[Mark]
    amount: float
    """Scores of what was lost or is new, and score shifts of what was kept, added up."""
    kept: int
    lost: int
    new: int


def iou(one: _Box, other: _Box) -> float:
    """Return intersection over union of two boxes x, y, width, height."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (one[2] * one[3] + other[2] * other[3] - width * height)


def box_of(detection: Detection) -> _Box:
    """Return a detection's box as x, y, width, height."""
    return detection.x, detection.y, detection.width, detection.height


def shown(prediction: ImagePrediction) -> list[Detection]:
    """Return the detections that are worth drawing, best first."""
    return sorted(
        (one for one in prediction.detections if one.score >= SHOWN_SCORE), key=lambda one: -one.score
    )


def compare(reference: ImagePrediction, variant: ImagePrediction) -> Change:
    """Match detections of one class by overlap, the surest first, and add up what changed."""
    ours, theirs = _faint(variant), _faint(reference)
    partner = _pairs(theirs, ours)
    marks, amount, kept, lost = [], 0.0, 0, 0
    for place, detection in enumerate(theirs):
        at = partner.get(place)
        seen = ours[at] if at is not None else None
        if detection.score < SHOWN_SCORE and (seen is None or seen.score < SHOWN_SCORE):
            continue
        amount += detection.score if seen is None else abs(detection.score - seen.score)
        if seen is not None and seen.score >= SHOWN_SCORE:
            marks.append(Mark("kept", seen))
            kept += 1
        else:
            marks.append(Mark("lost", detection))
            lost += 1
    fresh = [
        one for place, one in enumerate(ours) if place not in partner.values() and one.score >= SHOWN_SCORE
    ]
    marks += [Mark("new", one) for one in fresh]
    return Change(marks, amount + sum(one.score for one in fresh), kept, lost, len(fresh))


def compare_classes(reference: ImagePrediction, variant: ImagePrediction) -> Change:
    """Add up how far the probabilities of the best classes shifted; a changed best class counts as lost."""
    ours, theirs = dict(variant.classes), dict(reference.classes)
    amount = sum(abs(ours.get(name, 0.0) - theirs.get(name, 0.0)) for name in {*ours, *theirs})
    same = bool(ours) and bool(theirs) and variant.classes[0][0] == reference.classes[0][0]
    return Change([], amount if same else amount + 1.0, int(same), int(not same), 0)


def _faint(prediction: ImagePrediction) -> list[Detection]:
    return sorted(
        (one for one in prediction.detections if one.score >= FAINT_SCORE), key=lambda one: -one.score
    )


def _pairs(theirs: Sequence[Detection], ours: Sequence[Detection]) -> dict[int, int]:
    partner: dict[int, int] = {}
    free = set(range(len(ours)))
    for place, detection in enumerate(theirs):
        overlaps = [
            (iou(box_of(detection), box_of(ours[at])), -at)
            for at in free
            if ours[at].class_index == detection.class_index
        ]
        best, at = max(overlaps, default=(0.0, 0))
        if best >= MATCHING_IOU:
            partner[place] = -at
            free.discard(-at)
    return partner
