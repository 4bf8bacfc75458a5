"""How much a quantized file loses against FP32 on the same images: by labels where there are any, else by itself.

Without labels what FP32 sees surely on the calibration images stands for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnxruntime
from edgedyno.controller.lab.classification_score import ClassificationScorer
from edgedyno.controller.lab.detection_score import DetectionScorer

from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.result import ImagePrediction
from edgedyno.core.vision import Geometry, decode, decode_classes, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.request import BuildRequest, Labelled
    from edgedyno.core.profile import ModelProfile

    Tensor = NDArray[np.float32]

# A search looks a dozen times: 200 images of a detector take minutes already.
MAX_IMAGES = 200
# What FP32 sees with at least this score counts as there; the usual threshold of a deployed detector.
SURE_SCORE = 0.3


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Load a file for inference on the CPU."""
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


class Comparison:
    """FP32's predictions and their score on some images, and what a variant of the model loses against it."""

    def __init__(self, request: BuildRequest, reference: Path) -> None:
        """Score the FP32 model `reference`; raises RunError (variant.no-reference) where it sees nothing."""
        self._model = request.model
        self._inputs = _labelled(request) if request.labelled else _calibration(request)
        seen = self._predict(reference)
        self._scorer = (
            _scorer(
                self._model, Path(request.labelled.annotations).read_bytes(), request.labelled.class_names
            )
            if request.labelled
            else _agreement(self._model, seen)
        )
        self.reference = self._score(seen)
        self.by = f"{self._scorer.metric} on {len(seen)} " + (
            "labelled images" if request.labelled else "calibration images, against what FP32 sees in them"
        )

    def drop(self, path: Path) -> float:
        """Return what the file at `path` loses, as a ratio; negative where it gains."""
        return self.reference - self._score(self._predict(path))

    def _score(self, seen: Sequence[ImagePrediction]) -> float:
        value: float = self._scorer.value(seen)[0]
        return value

    def _predict(self, path: Path) -> list[ImagePrediction]:
        session = open_session(path)
        name, spec = session.get_inputs()[0].name, self._model.output
        seen = []
        for image_id, tensor, geometry in self._inputs.read():
            outputs = session.run(None, {name: tensor})
            if self._model.task == "detect":
                seen.append(ImagePrediction(image_id, detections=decode(outputs, spec, geometry)))
            else:
                seen.append(ImagePrediction(image_id, classes=decode_classes(outputs, spec)))
        return seen


class _Inputs:
    """Prepared images; those of a data set are prepared anew each time, so that memory stays bounded."""

    def __init__(self, images: Sequence[tuple[int, str]], model: ModelProfile) -> None:
        self._images = images
        self._model = model

    def read(self) -> Iterator[tuple[int, Tensor, Geometry]]:
        """Give id, tensor and geometry of each."""
        height, width = self._model.input.size
        for image_id, path in self._images:
            if path.endswith(".npy"):
                # Boxes stay in pixels of the input: both sides of the comparison have the same.
                yield image_id, np.load(path), Geometry(width, height, width, height, 1.0, 1.0)
                continue
            prepared = prepare(Path(path).read_bytes(), self._model.input)
            yield image_id, prepared.tensor, prepared.geometry


def _labelled(request: BuildRequest) -> _Inputs:
    labelled: Labelled | None = request.labelled
    images = labelled.images if labelled else []
    step = max(1, -(-len(images) // MAX_IMAGES))
    usable = [(number, path) for number, path in images[::step] if _can_be_read(path, request.model)]
    if not usable:
        raise RunError("none of the data set's images can be read", code="variant.no-reference")
    return _Inputs(usable, request.model)


def _can_be_read(path: str, model: ModelProfile) -> bool:
    try:
        prepare(Path(path).read_bytes(), model.input)
    except ConfigError:
        return False
    return True


def _calibration(request: BuildRequest) -> _Inputs:
    if not request.calibration:
        raise RunError(
            "what to leave in float cannot be searched: the data set has neither labelled nor calibration images",
            code="variant.no-reference",
        )
    step = max(1, -(-len(request.calibration) // MAX_IMAGES))
    return _Inputs(list(enumerate(request.calibration[::step])), request.model)


def _scorer(model: ModelProfile, annotations: bytes, class_names: list[str]) -> Any:
    kind = DetectionScorer if model.task == "detect" else ClassificationScorer
    return kind(annotations, class_names)


def _agreement(model: ModelProfile, seen: Sequence[ImagePrediction]) -> Any:
    """Return a scorer whose labels are what FP32 sees surely. Raises RunError (variant.no-reference)."""
    classes = 1 + max(
        [box.class_index for image in seen for box in image.detections]
        + [index for image in seen for index, _ in image.classes],
        default=-1,
    )
    names = [str(index) for index in range(classes)]
    if model.task == "classify":
        rows = "".join(f"{image.image_id},{image.classes[0][0]}\n" for image in seen)
        return ClassificationScorer(rows.encode(), names)
    boxes = [(image.image_id, box) for image in seen for box in image.detections if box.score >= SURE_SCORE]
    if not boxes:
        raise RunError(
            f"FP32 sees nothing with a score of {SURE_SCORE} or more in the calibration images: there is "
            "nothing to compare with; use images of what the model is for, or labelled ones",
            code="variant.no-reference",
        )
    return DetectionScorer(_as_coco(seen, boxes, names), names)


def _as_coco(seen: Sequence[ImagePrediction], boxes: list[tuple[int, Any]], names: list[str]) -> bytes:
    return msgspec.json.encode(
        {
            "images": [{"id": image.image_id, "file_name": str(image.image_id)} for image in seen],
            "annotations": [
                {
                    "id": number,
                    "image_id": image_id,
                    "category_id": box.class_index + 1,
                    "bbox": [box.x, box.y, box.width, box.height],
                }
                for number, (image_id, box) in enumerate(boxes, start=1)
            ],
            "categories": [{"id": index + 1, "name": name} for index, name in enumerate(names)],
        }
    )
