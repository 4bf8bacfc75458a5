"""Predictions by ONNX Runtime itself, as a board's accuracy pass would make them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import onnxruntime

from edgedyno.core.result import ImagePrediction, Predictions
from edgedyno.core.vision import decode, decode_classes, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgedyno.core.manifest import ResolvedJob
    from edgedyno.core.profile import ModelProfile


def predict(
    model: bytes, profile: ModelProfile, images: Iterable[tuple[int, bytes]], *, variant_sha256: str = ""
) -> Predictions:
    """Run the model on each image and decode what it says."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    fingerprint = hashlib.sha256()
    found = []
    for image_id, data in images:
        prepared = prepare(data, profile.input)
        fingerprint.update(prepared.tensor.tobytes())
        outputs = session.run(None, {name: prepared.tensor})
        if profile.task == "detect":
            boxes = decode(outputs, profile.output, prepared.geometry)
            found.append(ImagePrediction(image_id, detections=boxes))
        else:
            found.append(ImagePrediction(image_id, classes=decode_classes(outputs, profile.output)))
    sha256 = variant_sha256 or hashlib.sha256(model).hexdigest()
    return Predictions(sha256, "onnxruntime", fingerprint.hexdigest(), found)


def predict_job(resolved: ResolvedJob, sha256: str, read: Callable[[str], bytes]) -> Predictions:
    """Run a variant on the images of a resolved job."""
    images = ((image.id, read(image.file.sha256)) for image in resolved.images)
    return predict(read(sha256), resolved.model, images, variant_sha256=sha256)
