"""What the building process is asked, and what it answers: two JSON files."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from edgedyno.core.job import Precision
from edgedyno.core.manifest import Failure
from edgedyno.core.profile import ModelProfile


class CalibrationImage(Struct, frozen=True):
    """An image to calibrate with; `name` is what its user calls it."""

    path: str
    name: str


class BuildRequest(Struct, frozen=True):
    """One variant to build from the file `source` into the file `target`."""

    precision: Precision
    model: ModelProfile
    source: str
    target: str
    answer: str
    """Path of the file to write the BuildAnswer to."""
    calibration: list[CalibrationImage] = []
    reduce_range: bool = False


class BuildAnswer(Struct, frozen=True):
    """How the variant was made, or why it was not."""

    details: dict[str, Any] = {}
    failure: Failure | None = None


decode_request = msgspec.json.Decoder(BuildRequest).decode
decode_answer = msgspec.json.Decoder(BuildAnswer).decode
