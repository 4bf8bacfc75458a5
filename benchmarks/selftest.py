"""What the self-test calls each fault: real models, each with one fault put in; prints a table in Markdown.

    EDGEDYNO_ZOO=… python benchmarks/selftest.py [--unlabelled] [MODEL...]

A cell is the code that the self-test gave, `ok` where it passed, `?` where it failed and nothing explained it.
`--unlabelled` takes the profile's known images away: FP32 is then judged by the data set's images alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests import faults

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.profiles import find_profile
from edgedyno.controller.lab.selftest.knowing import expected_objects, known_path
from edgedyno.core.profile import ModelProfile
from edgedyno.core.vision.selftest import Reading, Shown, examine, survey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.core.result import SelfTest

ZOO = Path(os.environ.get("EDGEDYNO_ZOO", "."))
MODELS: dict[str, tuple[str, str | None, dict[str, Any], dict[str, Any]]] = {
    "YOLOX-nano": ("yolox_nano", None, {}, {}),
    "FastestDet": ("fastestdet", None, {}, {}),
    "YOLOv5n": ("yolov5", "yolov5n/yolov5n_416_fp32.onnx", {"size": (416, 416)}, {}),
    "YOLOv8n": (
        "yolov8",
        "yolov8n/yolov8n_640_from_int8w.onnx",
        {"layout": "NHWC"},
        {"boxes": "fraction"},
    ),
    "SqueezeNet": ("squeezenet", "squeezenet_v1.1/squeezenet_v1.1_227_fp32.onnx", {}, {}),
}
IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
IMAGES = 8


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--unlabelled", action="store_true")
    arguments = parser.parse_args()
    table = {name: dict(rows(name, unlabelled=arguments.unlabelled)) for name in arguments.models}
    names = list(dict.fromkeys(fault for column in table.values() for fault in column))
    print("| fault | " + " | ".join(table) + " |")
    print("| --- |" + " --- |" * len(table))
    for fault in names:
        print(f"| {fault} | " + " | ".join(column.get(fault, "") for column in table.values()) + " |")


def rows(name: str, *, unlabelled: bool) -> Iterator[tuple[str, str]]:
    """Yield each fault and what it was called."""
    template, source, into, out = MODELS[name]
    found = find_profile(template, ModelProfile, base=Path())
    path = found.base / found.profile.source if source is None else ZOO / "models" / source
    profile = faults.with_output(**out)(faults.with_input(**into)(found.profile))
    data = path.read_bytes()
    names = class_names(profile.classes, base=found.base)
    shown = [
        Shown(Path(each.image).name, known_path(each, found.base).read_bytes(), expected_objects(each, names))
        for each in profile.selftest
    ]
    if unlabelled:
        folder = known_path(profile.selftest[0], found.base).parent
        shown = [Shown(each.name, each.read_bytes()) for each in sorted(folder.glob("*.jpg"))[:IMAGES]]
    for fault, changed, edited in cases(profile, data):
        began = time.perf_counter()
        result = judge(edited, changed, shown, names, unlabelled=unlabelled)
        print(f"{name}: {fault}: {time.perf_counter() - began:.1f} s: {result.text}", file=sys.stderr)
        yield fault, called(result)


def called(result: SelfTest) -> str:
    """Return what a result calls the fault."""
    if result.looks_like:
        return f"`{result.looks_like}`"
    if not result.passed:
        return "?"
    return f"ok, suspects `{result.suspect}`" if result.suspect else "ok"


def judge(
    data: bytes, profile: ModelProfile, shown: list[Shown], names: list[str], *, unlabelled: bool
) -> SelfTest:
    """Return the self-test of a model."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def infer(tensor: Any) -> list[Any]:
        return list(session.run(None, {name: tensor}))

    reading = Reading(profile.task, profile.input, profile.output)
    return (survey if unlabelled else examine)(infer, reading, shown, names=names).selftest


def cases(profile: ModelProfile, data: bytes) -> Iterator[tuple[str, ModelProfile, bytes]]:
    """Yield the faults: their name, the profile and the model with it."""
    yield "none", profile, data
    yield "colour order", faults.other_colours(profile), data
    if profile.task == "detect":
        yield "0 to 1 for 0 to 255, or the other way", faults.other_scale(profile), data
    else:
        yield "mean left out", faults.with_input(mean=(0.0, 0.0, 0.0))(profile), data
        yield "pixels / 255", faults.with_input(mean=(0.0,) * 3, std=(255.0,) * 3)(profile), data
    yield "ImageNet's mean and std put in", faults.with_input(**IMAGENET)(profile), data
    yield "-1 to 1", faults.with_input(mean=(127.5,) * 3, std=(127.5,) * 3)(profile), data
    resizes = ("letterbox-center", "letterbox-topleft", "stretch")
    for resize in resizes if profile.task == "detect" else ("stretch",):
        if resize != profile.input.resize:
            yield f"{resize}", faults.with_input(resize=resize)(profile), data
    if profile.output.decoder in ("yolov5", "yolov8"):
        yield "fractions for pixels, or the other way", faults.other_boxes(profile), data
    if profile.output.decoder not in ("fastestdet", "classify"):
        yield "sigmoid missing", profile, faults.other_activation(data, profile.output.decoder, "missing")
    if profile.output.decoder != "fastestdet":
        yield (
            "sigmoid or softmax doubled",
            profile,
            faults.other_activation(data, profile.output.decoder, "doubled"),
        )
    yield "weights all zero", profile, faults.dead(data)
    yield "a NaN among the weights", profile, faults.not_a_number(data)


if __name__ == "__main__":
    main()
