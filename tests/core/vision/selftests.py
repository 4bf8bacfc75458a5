"""A real model and its profile's known images, with a fault put in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import find_profile
from edgedyno.controller.lab.selftest.knowing import expected_objects, known_path
from edgedyno.core.profile import ModelProfile
from edgedyno.core.vision.selftest import Reading, Shown

if TYPE_CHECKING:
    from edgedyno.core.vision.selftest.trying import Infer


class Real:
    """A profile of ours, the bytes of its model, and what its images show."""

    def __init__(self, name: str, source: Path | None = None) -> None:
        found = find_profile(name, ModelProfile, base=Path())
        self.profile: ModelProfile = found.profile
        self.base = found.base
        self.data = (source or found.base / found.profile.source).read_bytes()
        self.names = class_names(found.profile.classes, base=found.base)

    @property
    def shown(self) -> list[Shown]:
        """Return the known images."""
        return [
            Shown(
                Path(each.image).name,
                known_path(each, self.base).read_bytes(),
                expected_objects(each, self.names),
            )
            for each in self.profile.selftest
        ]

    def unknown(self, count: int) -> list[Shown]:
        """Return the first of the sample images, as a data set has them."""
        folder = known_path(self.profile.selftest[0], self.base).parent
        return [Shown(each.name, each.read_bytes()) for each in sorted(folder.glob("*.jpg"))[:count]]


def reading(profile: ModelProfile) -> Reading:
    """Return how a profile feeds and reads its model."""
    return Reading(profile.task, profile.input, profile.output)


def infers(data: bytes, counted: list[int] | None = None) -> Infer:
    """Return how ONNX Runtime infers a model; `counted` gets an entry each time."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def infer(tensor: Any) -> list[Any]:
        if counted is not None:
            counted.append(1)
        return list(session.run(None, {name: tensor}))

    return infer
