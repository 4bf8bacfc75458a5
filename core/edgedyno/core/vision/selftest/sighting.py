"""What a model sees in an image of known content: each expected object, how surely, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.core.manifest import ExpectedObject
from edgedyno.core.vision.decoding import decode, decode_classes
from edgedyno.core.vision.selftest.activation import activated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.result import Detection
    from edgedyno.core.vision.decoders.base import Outputs
    from edgedyno.core.vision.geometry import Geometry
    from edgedyno.core.vision.selftest.alternatives import Reading

_SHOWN_SCORE = 0.1
# Of FP32 models on images of a few objects no more than 30 boxes reach this; of one that sees nothing but noise, or
# whose scores went through a sigmoid twice, all that are kept.
_SURE_SCORE = 0.2
_LIKELY_SCORE = 0.3
# What FP32 sees with less is lost in quantization now and then, with no harm done to the whole.
_SURE_OBJECT = 0.6
_MOST_OBJECTS = 5


class Sighting(Struct, frozen=True):
    """One expected object and what was found of it."""

    name: str
    image: str
    seen: bool
    score: float
    """Of the object where its class is in its place, however low; else 0."""
    instead: int | None
    """The class that is seen in its place; None: nothing, or the right one."""
    text: str


class Look(Struct, frozen=True):
    """What one image shows."""

    sightings: list[Sighting]
    sure_boxes: int
    """How many boxes have a score that an object may have; 0 of a classifier."""
    top_score: float
    """Of anything that is seen."""
    total_score: float
    """Of everything that is more likely there than not: evidence without labels."""


def look(
    outputs: Outputs,
    reading: Reading,
    geometry: Geometry,
    expect: Sequence[ExpectedObject],
    image: str,
    names: Sequence[str] = (),
) -> Look:
    """Return what of the expected objects the outputs show.

    Raises ConfigError and RunError as decoding does, where the outputs are not the decoder's.
    """
    outputs = activated(outputs, reading.output.decoder, reading.activation)
    if reading.task == "classify":
        classes = decode_classes(outputs, reading.output)
        top = classes[0][1]
        return Look([_classified(each, classes, image, names) for each in expect], 0, top, top)
    boxes = decode(outputs, reading.output, geometry)
    return Look(
        [_detected(each, boxes, image, names) for each in expect],
        sum(box.score >= _SURE_SCORE for box in boxes),
        max((box.score for box in boxes), default=0.0),
        sum(box.score for box in boxes if box.score >= _LIKELY_SCORE),
    )


def confident(
    outputs: Outputs, reading: Reading, geometry: Geometry, names: Sequence[str] = ()
) -> list[ExpectedObject]:
    """Return what a model is sure to see, as what others should see too: for images of unknown content."""
    if reading.task == "classify":
        best, score = decode_classes(outputs, reading.output)[0]
        return [ExpectedObject(best, _name(best, names), None, 0.5, score)] if score >= _SURE_OBJECT else []
    boxes = decode(outputs, reading.output, geometry)
    return [
        ExpectedObject(
            box.class_index,
            _name(box.class_index, names),
            (box.x, box.y, box.width, box.height),
            0.5,
            box.score,
        )
        for box in boxes[:_MOST_OBJECTS]
        if box.score >= _SURE_OBJECT
    ]


def _classified(
    expected: ExpectedObject, classes: Sequence[tuple[int, float]], image: str, names: Sequence[str]
) -> Sighting:
    best, score = classes[0]
    right = best == expected.class_index
    found = f"class {_name(best, names)!r} with {score:.2f}"
    return Sighting(
        expected.name,
        image,
        right and score >= expected.min_score,
        score if right else 0.0,
        None if right or score < _SHOWN_SCORE else best,
        f"{image}: expected class {expected.name!r} with {expected.min_score:.2f} at least, found {found}",
    )


def _detected(
    expected: ExpectedObject, boxes: Sequence[Detection], image: str, names: Sequence[str]
) -> Sighting:
    there = [(box, 1.0 if expected.box is None else iou(box, expected.box)) for box in boxes]
    placed = [(box, overlap) for box, overlap in there if overlap >= expected.min_iou]
    ours = [(box.score, overlap) for box, overlap in placed if box.class_index == expected.class_index]
    score, overlap = max(ours, default=(0.0, 0.0))
    others = [box for box, _ in placed if box.class_index != expected.class_index]
    rival = max(others, key=lambda box: box.score, default=None)
    instead = rival if rival is not None and rival.score > max(score, _SHOWN_SCORE) else None
    found = f"it with {score:.2f} (IoU {overlap:.2f})" if ours else _elsewhere(expected, there)
    if instead is not None:
        found = f"{_name(instead.class_index, names)!r} with {instead.score:.2f} in its place"
    return Sighting(
        expected.name,
        image,
        score >= expected.min_score,
        score,
        instead.class_index if instead else None,
        f"{image}: expected {expected.name!r} with {expected.min_score:.2f} at least, found {found}",
    )


def _elsewhere(expected: ExpectedObject, there: Sequence[tuple[Detection, float]]) -> str:
    """Say where else the object was seen, if anywhere."""
    ours = [
        (box, overlap)
        for box, overlap in there
        if box.class_index == expected.class_index and box.score >= _SHOWN_SCORE
    ]
    if not ours:
        return "nothing in its place"
    box, overlap = max(ours, key=lambda each: each[0].score)
    return (
        f"one with {box.score:.2f} elsewhere: x {box.x:.0f}, y {box.y:.0f}, {box.width:.0f} x {box.height:.0f} "
        f"pixels (IoU {overlap:.2f})"
    )


def _name(index: int, names: Sequence[str]) -> str:
    return names[index] if index < len(names) else f"class {index}"


def iou(box: Detection, wanted: tuple[float, float, float, float]) -> float:
    """Return the overlap of two boxes over their union."""
    x, y, width, height = wanted
    across = min(box.x + box.width, x + width) - max(box.x, x)
    down = min(box.y + box.height, y + height) - max(box.y, y)
    shared = max(across, 0.0) * max(down, 0.0)
    whole = box.width * box.height + width * height - shared
    return shared / whole if whole > 0 else 0.0
