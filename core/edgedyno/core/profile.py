"""Profiles of models and data sets: what a user says about them, once, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from edgedyno.core.units import Ratio

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
    crop: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Of resize-crop: share of the sides that stays; 0.875 is a resize to 256 and a crop of 224."""
    pad: int = 114
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)


class Priors(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The boxes that SSD's raw outputs are relative to, in order: cell by cell of each stride's grid.

    As TensorFlow's object detection makes them: scales from `min_scale` to `max_scale`, one for each stride.
    """

    min_scale: float = 0.2
    max_scale: float = 0.95
    aspect_ratios: list[float] = field(default_factory=lambda: [1.0, 2.0, 0.5, 3.0, 1.0 / 3.0])
    reduce_lowest: bool = True
    """Whether the first grid has three boxes a cell, of ratio 1, 2 and 0.5, whatever `aspect_ratios` says."""
    order: Literal["yxhw", "xywh"] = "yxhw"
    """Of a box's four numbers."""
    centre_scale: float = 10.0
    size_scale: float = 5.0
    """What the model's numbers were multiplied by in training (the inverse of Caffe's variances 0.1 and 0.2)."""


class OutputSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the model's output becomes detections or classes."""

    decoder: Literal["yolox", "fastestdet", "yolov5", "yolov8", "nanodet", "ssd", "classify"]
    boxes: Literal["pixels", "fraction"] = "pixels"
    """Unit of the boxes, where the decoder leaves it open: pixels of the input, or fractions of its sides."""
    strides: list[int] = []
    """Pixels of the input to a grid's cell, finest grid first; empty: the decoder's usual ones."""
    anchors: list[list[float]] = []
    """Of YOLOv5's raw heads: width, height, width, height, … in pixels for each stride; empty: YOLOv5's own."""
    bins: Annotated[int, Meta(ge=0, le=64)] = 0
    """Of a distance's distribution: 16 in YOLOv8 and YOLO11, 8 in NanoDet (its reg_max plus 1); 0: as there."""
    cell_centre: float = 0.5
    """Of NanoDet: where in its cell a distance is measured from; 0 for NanoDet-Plus."""
    background: bool = False
    """Whether the first class of the scores is the background, which is then dropped."""
    priors: Priors | None = None
    """Of SSD's raw outputs; None where the model's boxes are corners already."""
    score_threshold: float = 0.005
    iou_threshold: float = 0.65
    max_detections: int = 300
    """An image's boxes of all classes together; COCO's own limit of 100 is per class."""


class QuantizeSpec(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What static quantization has to know about the model."""

    exclude: list[str] = []
    """Regular expressions over ONNX node names or output names; whole matches stay in float."""
    calibration_method: Literal["minmax", "entropy", "percentile"] = "minmax"
    ncnn_method: Literal["minmax", "kl", "aciq", "mse", "auto"] = "kl"
    """How ncnn's INT8 finds the range of activations; `auto` tries all and takes the nearest to FP32."""
    scheme: Literal["qdq", "qoperator", "dynamic"] = "qdq"
    """Of ONNX: static with Q/DQ pairs or with integer operators; dynamic needs no calibration images."""
    per_channel: bool = True
    activations: Literal["uint8", "int8"] = "uint8"
    symmetric: bool = False
    """Whether activations are symmetric about zero."""
    accuracy_control: Annotated[Ratio, Meta(gt=0, lt=1)] | None = None
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


class Expected(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An object that the model has to see in a known image."""

    label: str | int = field(name="class")
    """Name of the class, or its index where classes have no names."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height in pixels of the image; None for classification."""
    min_iou: float = 0.5
    min_score: float = 0.3


class KnownImage(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An image whose content is known, to see whether profile and model fit together."""

    image: str
    """Path relative to the profile."""
    expect: list[Expected]


class ModelProfile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the user wants to deploy, from one FP32 source file."""

    name: Name
    task: Task
    input: InputSpec
    output: OutputSpec
    source: str = ""
    """Path of the FP32 ONNX file, relative to the profile; empty in a template, which others extend."""
    extends: str | None = None
    """Name or path of a profile that says what is left out here; taken up when YAML is read, and None then."""
    classes: str | list[str] | int = "coco80"
    """Names, a text file of them, `coco80`, `coco90`, or how many there are where they have no names."""
    sha256: Sha256 | None = None
    """Of the source file; checked when given."""
    quantize: QuantizeSpec = QuantizeSpec()
    recipes: dict[Name, QuantizeSpec] = {}
    """Further ways to INT8, each a variant of that name; one without `exclude` takes that of `quantize`."""
    variants: list[Prebuilt] = []
    """The user's own files, beside those that edgedyno builds; one of a format and precision takes its place."""
    selftest: list[KnownImage] = []
    """Images that tell whether input and output are described rightly."""
    licence: str | None = None
    origin: str | None = None


class DatasetProfile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Labelled images to score with, and images to calibrate with."""

    name: Name
    task: Task
    images: str
    """Folder of images, relative to the profile."""
    annotations: str | None = None
    """File or folder with the labels, relative to the profile."""
    format: Literal["coco", "yolo", "voc", "imagenet", "csv"] | None = None
    """Of the annotations; None: found out from what is there."""
    calibration: str | None = None
    """Folder of calibration images, relative to the profile."""
    licence: str | None = None
    origin: str | None = None
