"""What building processes are asked, and what they answer: JSON files."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from edgedyno.core.job import Precision
from edgedyno.core.manifest import Failure
from edgedyno.core.profile import InputSpec, ModelProfile


class NamedImage(Struct, frozen=True):
    """An image by its path; `name` is what its user calls it."""

    path: str
    name: str


class Labelled(Struct, frozen=True):
    """Images to compare a variant with FP32 on: the data set's own, with its labels."""

    images: list[tuple[int, str]]
    """Id and path of each."""
    annotations: str
    """Path of the data set's annotations."""
    class_names: list[str]


class BuildRequest(Struct, frozen=True):
    """One ONNX variant to build from the file `source` into the file `target`."""

    precision: Precision
    model: ModelProfile
    source: str
    target: str
    answer: str
    """Path of the file to write the BuildAnswer to."""
    calibration: list[str] = []
    """Paths of .npy files: images as the accuracy pass prepares them."""
    sample: NamedImage | None = None
    """To try the variant on."""
    reduce_range: bool = False
    labelled: Labelled | None = None
    """For the search of what to leave in float; None: it compares with FP32 on the calibration images."""


class BuildAnswer(Struct, frozen=True):
    """How the variant was made, or why it was not."""

    details: dict[str, Any] = {}
    failure: Failure | None = None


class PrepareRequest(Struct, frozen=True):
    """Images to prepare, each into `NNNNN.npy` in `folder`."""

    images: list[NamedImage]
    input: InputSpec
    folder: str
    answer: str
    """Path of the file to write a PrepareAnswer to."""


class PrepareAnswer(Struct, frozen=True):
    """The prepared tensors in the images' order, or which images are of no use."""

    tensors: list[str] = []
    failure: Failure | None = None


decode_build = msgspec.json.Decoder(BuildRequest).decode
decode_answer = msgspec.json.Decoder(BuildAnswer).decode
decode_prepare = msgspec.json.Decoder(PrepareRequest).decode
decode_prepared = msgspec.json.Decoder(PrepareAnswer).decode
