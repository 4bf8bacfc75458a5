"""The manifest: everything a board is told about an execution. Files are named by sha256, never by path."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from edgedyno.core.job import JobSpec, Measure, Precision, Sweep
from edgedyno.core.profile import DatasetProfile, InputSpec, ModelProfile, OutputSpec, Sha256


class ArtifactRef(Struct, frozen=True):
    """A file by content."""

    sha256: Sha256
    size_bytes: int
    name: str = ""
    """For people only; never used as a path."""


class Failure(Struct, frozen=True):
    """Why something did not work: a stable code and a sentence."""

    code: str
    text: str


class Variant(Struct, frozen=True, omit_defaults=True):
    """One deployable file of a model, or the reason why it could not be built (then `file` is None).

    A format of several files (ncnn, openvino) is one zip of them (docs/adr/0007).
    """

    precision: Precision
    format: str
    file: ArtifactRef | None = None
    recipe: dict[str, Any] = {}
    """How it was made: method, options, tool versions, hashes of source and calibration images."""
    failure: Failure | None = None
    name: str = ""
    """Tells variants of one precision and format apart; empty for the usual one."""
    input: InputSpec | None = None
    """How an image becomes its input, where that differs from the model's profile."""
    output: OutputSpec | None = None
    """How its output is decoded, where that differs from the model's profile."""


class Image(Struct, frozen=True):
    """One image of a data set; `id` is its id in the annotations, or its position without them."""

    id: int
    file: ArtifactRef


class ExpectedObject(Struct, frozen=True):
    """An object that a known image shows."""

    class_index: int
    name: str
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height in pixels of the image; None for classification."""
    min_iou: float = 0.5
    min_score: float = 0.3


class Known(Struct, frozen=True):
    """An image whose content is known, for the self-test of each variant."""

    file: ArtifactRef
    expect: list[ExpectedObject]


class Manifest(Struct, frozen=True, omit_defaults=True):
    """One execution, as its board gets it."""

    job: str
    execution: str
    model: ModelProfile
    variants: list[Variant]
    sweep: Sweep
    measure: Measure
    images: list[Image] = []
    dataset: str | None = None
    """Name of the data set, for people; its annotations stay with the controller."""
    known: list[Known] = []
    timeout_seconds: float = 7200.0


def references(manifest: Manifest) -> list[ArtifactRef]:
    """Return every file that an execution needs."""
    variants = [variant.file for variant in manifest.variants if variant.file is not None]
    known = [each.file for each in manifest.known]
    return variants + [image.file for image in manifest.images] + known


class ResolvedJob(Struct, frozen=True, omit_defaults=True):
    """A job with its names looked up and its files hashed, ready to be submitted."""

    spec: JobSpec
    model: ModelProfile
    source: ArtifactRef
    class_names: list[str]
    dataset: DatasetProfile | None = None
    images: list[Image] = []
    annotations: ArtifactRef | None = None
    calibration: list[ArtifactRef] = []
    known: list[Known] = []
    prebuilt: list[Variant] = []
    """The user's own files, checked."""
