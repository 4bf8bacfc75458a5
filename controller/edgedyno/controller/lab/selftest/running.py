"""Run the self-test of a profile on its FP32 model in ONNX Runtime; what it means is `core.vision.selftest`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnxruntime
from msgspec import Struct

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import check_has_source
from edgedyno.controller.lab.selftest.knowing import expected_objects, known_path
from edgedyno.core.errors import ConfigError, EdgedynoError, RunError
from edgedyno.core.result import SelfTest
from edgedyno.core.vision.decoding import count_classes
from edgedyno.core.vision.preparation import prepare
from edgedyno.core.vision.selftest import Reading, Shown, examine

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.profiles import Found
    from edgedyno.core.profile import ModelProfile


class SelfTested(Struct, frozen=True):
    """A self-test, or why there is none."""

    passed: bool | None
    """None: the profile has no known image, or none that is for its classes."""
    result: SelfTest | None = None
    reason: str | None = None
    """Why there is no test."""
    score: float | None = None
    """How surely the expected objects are seen, mean over them."""


def run_selftest(found: Found[ModelProfile]) -> SelfTested:
    """Look at the profile's known images with its FP32 model in ONNX Runtime.

    Raises ConfigError (profile.template, model.classes, selftest.image), RunError (model.load) for what makes
    a test impossible.
    """
    profile = found.profile
    check_has_source(found)
    if not profile.selftest:
        return SelfTested(None, reason="the profile names no known image (`selftest`)")
    names = class_names(profile.classes, base=found.base)
    try:
        shown = [
            _shown(known_path(each, found.base), expected_objects(each, names)) for each in profile.selftest
        ]
    except ConfigError as error:
        if error.code != "selftest.class":
            raise
        return SelfTested(None, reason=str(error))
    model = OnnxModel(found.base / profile.source)
    reading = Reading(profile.task, profile.input, profile.output)
    examined = examine(model.infer, reading, shown, names=names)
    return SelfTested(examined.selftest.passed, examined.selftest, score=examined.score)


def class_mismatch(found: Found[ModelProfile]) -> str | None:
    """Say how many classes the FP32 model has where the profile names another number; None where they agree.

    Told from one inference on an image of one grey. Raises as `run_selftest`.
    """
    profile = found.profile
    check_has_source(found)
    named = len(class_names(profile.classes, base=found.base))
    height, width = profile.input.size
    grey = cv2.imencode(".png", np.full((height, width, 3), profile.input.pad, np.uint8))[1].tobytes()
    prepared = prepare(grey, profile.input)
    outputs = OnnxModel(found.base / profile.source).infer(prepared.tensor)
    try:
        has = count_classes(outputs, profile.output, prepared.geometry)
    except EdgedynoError:
        return None  # the self-test says what does not fit
    if has in (None, named):
        return None
    return f"the model has scores for {has} classes, and the profile names {named} (`classes`)"


def _shown(path: Path, expect: list[Any]) -> Shown:
    return Shown(path.name, path.read_bytes(), expect)


def selftest_lines(tested: SelfTested) -> list[str]:
    """Put a self-test into words, a line each."""
    if tested.result is None:
        return ["self-test: none", f"  {tested.reason}"]
    result = tested.result
    if result.looks_like:
        head = f"failed ({result.looks_like})"
    else:
        head = "ok" if result.passed else "failed"
        head += f", suspicious ({result.suspect})" if result.suspect else ""
    return [
        f"self-test: {head}",
        f"  {result.text}",
        *(f"  change {change}" for change in result.changes),
    ]


class OnnxModel:
    """An ONNX file in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        """Load it. Raises RunError (model.load)."""
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise RunError(f"{path}: ONNX Runtime cannot load it: {error}", code="model.load") from error
        self._input = self._session.get_inputs()[0].name
        self.input_type = str(self._session.get_inputs()[0].type)
        """As ONNX Runtime writes it, such as `tensor(float)`."""

    def infer(self, tensor: Any) -> list[Any]:
        """Return the outputs for one prepared tensor. Raises RunError (model.run) where it does not run."""
        try:
            return list(self._session.run(None, {self._input: tensor}))
        except Exception as error:
            raise RunError(f"ONNX Runtime cannot run the model: {error}", code="model.run") from error
