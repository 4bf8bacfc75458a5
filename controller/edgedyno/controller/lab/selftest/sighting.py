"""What a model sees in the known images of a profile: each expected object, how surely, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
from msgspec import Struct

from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.vision import decode, decode_classes, prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.profile import Expected, InputSpec, KnownImage, ModelProfile
    from edgedyno.core.result import Detection
    from edgedyno.core.vision import Geometry

_SHOWN_SCORE = 0.1


class Sighting(Struct, frozen=True):
    """One expected object and what was found of it."""

    image: str
    label: str
    seen: bool
    score: float
    """Of the object where it is seen, else 0."""
    text: str


class Model:
    """The FP32 model in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise RunError(f"{path}: ONNX Runtime cannot load it: {error}", code="model.load") from error
        self._input = self._session.get_inputs()[0].name
        self._kept: dict[Path, tuple[InputSpec, list[Any], Geometry]] = {}

    def see(self, image: Path, spec: InputSpec) -> tuple[list[Any], Geometry]:
        """Return the outputs for an image; those for the way that it was first prepared are kept."""
        kept = self._kept.get(image)
        if kept is not None and kept[0] == spec:
            return kept[1], kept[2]
        prepared = prepare(image.read_bytes(), spec)
        outputs = self.infer(prepared.tensor)
        self._kept.setdefault(image, (spec, outputs, prepared.geometry))
        return outputs, prepared.geometry

    def infer(self, tensor: Any) -> list[Any]:
        """Return the outputs for one prepared tensor. Raises RunError (model.run) where it does not run."""
        try:
            return list(self._session.run(None, {self._input: tensor}))
        except Exception as error:
            raise RunError(f"ONNX Runtime cannot run the model: {error}", code="model.run") from error


def index_of(expected: Expected, names: list[str]) -> int:
    """Return the expected class's index. Raises ConfigError (selftest.class) where the model has no such class."""
    if isinstance(expected.label, int):
        if 0 <= expected.label < len(names):
            return expected.label
    elif expected.label in names:
        return names.index(expected.label)
    raise ConfigError(
        f"selftest: found the class {expected.label!r}, expected one of the model's {len(names)} classes",
        code="selftest.class",
    )


def look(
    model: Model, profile: ModelProfile, names: list[str], known: KnownImage, base: Path
) -> list[Sighting]:
    """Return what the model sees in one image, the profile followed to the letter."""
    path = base / known.image
    if not path.is_file():
        raise ConfigError(f"selftest: found no image {path}", code="selftest.image")
    outputs, geometry = model.see(path, profile.input)
    if profile.task == "classify":
        classes = decode_classes(outputs, profile.output)
        return [_classified(each, names, classes, Path(known.image).name) for each in known.expect]
    boxes = decode(outputs, profile.output, geometry)
    return [_detected(each, names, boxes, Path(known.image).name) for each in known.expect]


def _classified(
    expected: Expected, names: list[str], classes: Sequence[tuple[int, float]], image: str
) -> Sighting:
    wanted = index_of(expected, names)
    best, score = classes[0]
    seen = best == wanted and score >= expected.min_score
    found = f"{_name(best, names)!r} with {score:.2f}"
    return Sighting(
        image,
        str(expected.label),
        seen,
        score if best == wanted else 0.0,
        f"{image}: expected class {expected.label!r} with {expected.min_score:.2f} at least, found {found}",
    )


def _detected(expected: Expected, names: list[str], boxes: Sequence[Detection], image: str) -> Sighting:
    wanted = index_of(expected, names)
    there = (
        [(box, iou(box, expected.box)) for box in boxes] if expected.box else [(box, 1.0) for box in boxes]
    )
    ours = [(box.score, overlap) for box, overlap in there if box.class_index == wanted]
    placed = [(score, overlap) for score, overlap in ours if overlap >= expected.min_iou]
    score, overlap = max(placed, default=(0.0, 0.0))
    found = f"it with {score:.2f} (IoU {overlap:.2f})"
    if not placed:
        found = _nearby(there, names, wanted, expected.min_iou)
    return Sighting(
        image,
        str(expected.label),
        score >= expected.min_score,
        score,
        f"{image}: expected {expected.label!r} with {expected.min_score:.2f} at least, found {found}",
    )


def _nearby(there: list[tuple[Detection, float]], names: list[str], wanted: int, min_iou: float) -> str:
    """Say what was seen instead: something else at the place, or the object at another place."""
    others = [box for box, overlap in there if overlap >= min_iou and box.score >= _SHOWN_SCORE]
    if others:
        best = max(others, key=lambda box: box.score)
        return f"{_name(best.class_index, names)!r} with {best.score:.2f} in its place"
    ours = [
        (box, overlap) for box, overlap in there if box.class_index == wanted and box.score >= _SHOWN_SCORE
    ]
    if ours:
        box, overlap = max(ours, key=lambda each: each[0].score)
        return (
            f"one with {box.score:.2f} elsewhere: x {box.x:.0f}, y {box.y:.0f}, {box.width:.0f} x {box.height:.0f} "
            f"pixels (IoU {overlap:.2f})"
        )
    return "nothing in its place"


def _name(index: int, names: list[str]) -> str:
    return names[index] if index < len(names) else f"class {index}"


def iou(box: Detection, wanted: tuple[float, float, float, float]) -> float:
    """Return the overlap of two boxes over their union."""
    x, y, width, height = wanted
    across = min(box.x + box.width, x + width) - max(box.x, x)
    down = min(box.y + box.height, y + height) - max(box.y, y)
    shared = max(across, 0.0) * max(down, 0.0)
    whole = box.width * box.height + width * height - shared
    return shared / whole if whole > 0 else 0.0
