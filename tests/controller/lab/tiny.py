"""A real but tiny ONNX classifier, images for it, and profiles around them, made on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgedyno.core.job import JobSpec
from edgedyno.core.profile import DatasetProfile, InputSpec, ModelProfile, OutputSpec

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 16
CLASSES = ["blue", "green", "red"]


def model(*, opset: int = 13, weight_type: int = TensorProto.FLOAT) -> Any:
    """Return a classifier that tells which channel is the brightest."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        kernel[channel, channel] = 1 / 9
    weights = numpy_helper.from_array(kernel, "kernel")
    if weight_type != TensorProto.FLOAT:
        weights = numpy_helper.from_array(kernel.astype(np.float16), "kernel")
    elem = weights.data_type
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["mixed"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["mixed"], ["positive"], name="relu"),
            helper.make_node("GlobalAveragePool", ["positive"], ["means"], name="pool"),
            helper.make_node("Flatten", ["means"], ["logits"], name="flatten"),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", elem, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", elem, [1, 3])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def write_model(path: Path, **options: int) -> Path:
    """Write the classifier to `path`."""
    onnx.save(model(**options), path)
    return path


def write_images(folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Write images, each of which is mostly blue, green or red in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    paths = []
    for index in range(count):
        pixels = generator.integers(0, 60, (20, 24, 3), dtype=np.uint8)
        pixels[:, :, index % 3] += 150
        paths.append(folder / f"{seed}-{index:03}.png")
        cv2.imwrite(str(paths[-1]), pixels)
    return paths


def model_profile(**changes: Any) -> ModelProfile:
    """Return a profile of the classifier, whose source is `tiny.onnx`."""
    profile = ModelProfile(
        name="tiny",
        task="classify",
        source="tiny.onnx",
        input=InputSpec(size=(SIZE, SIZE), colour="BGR", resize="stretch"),
        output=OutputSpec(decoder="classify"),
        classes=CLASSES,
    )
    return msgspec.structs.replace(profile, **changes)


def dataset_profile(**changes: Any) -> DatasetProfile:
    """Return a profile of `images/`, `labels.csv` and `calibration/`."""
    profile = DatasetProfile(
        name="colours",
        task="classify",
        images="images",
        annotations="labels.csv",
        calibration="calibration",
    )
    return msgspec.structs.replace(profile, **changes)


def job(**changes: Any) -> JobSpec:
    """Return a job that names the profiles inline."""
    spec = JobSpec(name="tiny-job", model=model_profile(), dataset=dataset_profile())
    return msgspec.structs.replace(spec, **changes)


def write_all(folder: Path) -> Path:
    """Write model, images, labels and calibration images into `folder`."""
    write_model(folder / "tiny.onnx")
    images = write_images(folder / "images", 6)
    rows = "".join(f"{path.name},{index % 3}\n" for index, path in enumerate(images))
    (folder / "labels.csv").write_text("file,class_index\n" + rows)
    write_images(folder / "calibration", 4, seed=1)
    return folder
