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

    decoder: Literal["yolox", "fastestdet", "yolov5", "yolov8", "nanodet", "ssd", "classify"]
    boxes: Literal["pixels", "fraction"] = "pixels"
    """Unit of the boxes, where the decoder leaves it open: pixels of the input, or fractions of its sides."""
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
    ncnn_method: Literal["minmax", "kl", "aciq"] = "kl"
    """How ncnn's INT8 finds the range of activations."""
    scheme: Literal["qdq", "qoperator", "dynamic"] = "qdq"
    """Of ONNX: static with Q/DQ pairs or with integer operators; dynamic needs no calibration images."""
    per_channel: bool = True
    activations: Literal["uint8", "int8"] = "uint8"
    symmetric: bool = False
    """Whether activations are symmetric about zero."""
    accuracy_control: Annotated[float, Meta(gt=0, lt=1)] | None = None
    """Largest drop that is allowed: the builder then searches for what to leave in float."""


class Prebuilt(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A variant that the user brings, taken as it is."""

    file: str
    """Relative to the profile; of a format of two files the one with the graph (`.param`, `.xml`)."""
    precision: Literal["fp32", "fp16", "int8"]
    name: str = ""
    """Tells variants of one precision and format apart."""
    format: str | None = None
    """Read from the file where it is not given."""
    input: InputSpec | None = None
    """Where it differs from the model's."""
    output: OutputSpec | None = None
    """Where it differs from the model's."""


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
    variants: list[Prebuilt] = []
    """The user's own files, beside those that edgedyno builds; one of a format and precision takes its place."""
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
