"""Profiles of models and data sets: what a user says about them, once, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Task = Literal["detect", "classify"]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class InputSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How an image becomes the model's input: x = (pixel - mean) / std, per channel in `colour` order."""

    size: tuple[int, int]
    """Height and width in pixels."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["BGR", "RGB"] = "RGB"
    resize: Literal["letterbox-topleft", "letterbox-center", "stretch", "resize-crop"] = "letterbox-center"
    pad: int = 114
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)


class OutputSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the model's output becomes detections or classes."""

    decoder: Literal["yolox", "fastestdet", "yolov5", "yolov8", "classify"]
    strides: list[int] = []
    score_threshold: float = 0.005
    iou_threshold: float = 0.65
    max_detections: int = 300
    """An image's boxes of all classes together; COCO's own limit of 100 is per class."""


class QuantizeSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What static quantization has to know about the model."""

    exclude: list[str] = []
    """Regular expressions over ONNX node names or output names; whole matches stay in float."""
    calibration_method: Literal["minmax", "entropy", "percentile"] = "minmax"


class ModelProfile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the user wants to deploy, from one FP32 source file."""

    name: Name
    task: Task
    source: str
    """Path of the FP32 ONNX file, relative to the profile."""
    input: InputSpec
    output: OutputSpec
    classes: str | list[str] = "coco80"
    sha256: Sha256 | None = None
    """Of the source file; checked when given."""
    quantize: QuantizeSpec = QuantizeSpec()
    licence: str | None = None
    origin: str | None = None


class DatasetProfile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Labelled images to score with, and images to calibrate with."""

    name: Name
    task: Task
    images: str
    """Folder of images, relative to the profile."""
    annotations: str | None = None
    """COCO instances JSON for detection; CSV `file,class_index` for classification."""
    calibration: str | None = None
    """Folder of calibration images, relative to the profile."""
    licence: str | None = None
    origin: str | None = None
