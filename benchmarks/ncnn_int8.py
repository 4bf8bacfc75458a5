"""How much accuracy ncnn's INT8 keeps by each way of calibrating: models of the zoo, in stock ncnn.

Reads models and images from EDGEDYNO_ZOO alone; nothing of them is kept. Calibrates on coco_calib_40 and scores on
coco_val_140 (detectors), or on imagenet_sample, every fifth image calibrating and the others scored (classifier).
Usage: EDGEDYNO_ZOO=... python benchmarks/ncnn_int8.py --python BUILDER_PYTHON [--models NAME...] [--images N]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgedyno.controller.lab.classes import class_names
from edgedyno.controller.lab.detection_score import DetectionScorer
from edgedyno.core.profile import InputSpec, OutputSpec
from edgedyno.core.result import ImagePrediction
from edgedyno.core.vision import decode, prepare

if TYPE_CHECKING:
    from edgedyno.core.vision.geometry import Geometry

WORKER = Path(__file__).with_name("ncnn_int8_worker.py")
PLAIN = {"equalize": False, "correct_bias": False}


class Model(NamedTuple):
    """One model of the zoo, and the recipes that are tried on it."""

    source: str
    """Relative to the zoo; an ONNX file, or ncnn's two files without their ending."""
    input: InputSpec
    output: OutputSpec
    recipes: list[dict[str, Any]]


def recipes(*methods: str, stems: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
    """Return each method plain and with all that the builder does, and with a stem in float."""
    found: list[dict[str, Any]] = [
        {"name": f"{method}-plain", "method": method, **PLAIN} for method in methods
    ]
    for stem in stems:
        found += [
            {"name": f"{method}-stem{stem}" if stem else method, "method": method, "stem": stem}
            for method in methods
        ]
    return found


FASTESTDET = InputSpec(size=(352, 352), colour="BGR", resize="stretch")
MODELS = {
    "fastestdet": Model(
        "models/fastestdet/FastestDet_352_fp32.onnx",
        FASTESTDET,
        OutputSpec(decoder="fastestdet"),
        recipes("minmax", "kl", "aciq"),
    ),
    "fastestdet-ncnn": Model(
        "models/fastestdet/ncnn/FastestDet",
        FASTESTDET,
        OutputSpec(decoder="fastestdet"),
        recipes("minmax", "kl", "aciq"),
    ),
    "yolox_nano": Model(
        "models/yolox_nano/yolox_nano_416_fp32.onnx",
        InputSpec(size=(416, 416), colour="BGR", resize="letterbox-topleft", std=(1.0, 1.0, 1.0)),
        OutputSpec(decoder="yolox", strides=[8, 16, 32]),
        recipes("minmax", "kl", "aciq", stems=(0, 1, 2, 3)),
    ),
    "yolov5n": Model(
        "models/yolov5n/yolov5n_416_fp32.onnx",
        InputSpec(size=(416, 416)),
        OutputSpec(decoder="yolov5"),
        recipes("minmax", "kl", "aciq"),
    ),
    "squeezenet": Model(
        "models/squeezenet_v1.1/squeezenet_v1.1_227_fp32.onnx",
        InputSpec(
            size=(227, 227), colour="BGR", resize="resize-crop", mean=(104, 117, 123), std=(1.0, 1.0, 1.0)
        ),
        OutputSpec(decoder="classify"),
        recipes("minmax", "kl", "aciq"),
    ),
}


class Images(NamedTuple):
    """Prepared images: where the tensors lie, and what is needed to score."""

    calibration: list[str]
    scored: list[str]
    labels: list[Any]
    geometries: list[Geometry]


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="an interpreter with ncnn, pnnx and numpy")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--images", type=int, default=1000, help="score at most so many")
    arguments = parser.parse_args()
    zoo = Path(os.environ["EDGEDYNO_ZOO"])
    print(
        f"{'model':16} {'variant':14} {'accuracy':>8} {'output SQNR':>12} {'.bin kB':>8} {'int8':>5} {'float':>6}"
    )
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, zoo, arguments.python, arguments.images, Path(folder))


def measure(name: str, zoo: Path, python: str, limit: int, folder: Path) -> None:
    """Build, run and score one model's variants."""
    model = MODELS[name]
    images = prepared(model, zoo, limit, folder)
    page = {
        "source": str(zoo / model.source),
        "shape": [1, 3, *model.input.size],
        "calibration": images.calibration,
        "images": images.scored,
        "recipes": model.recipes,
        "out": str(folder),
    }
    (folder / "request.json").write_text(json.dumps(page))
    command = [python, str(WORKER), str(folder / "request.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or []:
            told = json.loads(line)
            accuracy = score(model, images, np.load(folder / f"{told['name']}.npz"), zoo)
            decibels = f"{told['decibels']:9.1f} dB" if "decibels" in told else ""
            kept = len(told.get("float_layers", []))
            print(
                f"{name:16} {told['name']:14} {accuracy:8.4f} {decibels:>12} {told['bytes'] / 1e3:8.0f}"
                f" {told.get('int8_layers', 0):5} {kept:6}",
                flush=True,
            )
    if process.returncode != 0:
        sys.exit(f"the builder's interpreter ended with status {process.returncode}")


def prepared(model: Model, zoo: Path, limit: int, folder: Path) -> Images:
    """Write the tensors of the images that calibrate and that are scored."""
    if model.output.decoder == "classify":
        data = zoo / "data/imagenet_sample"
        rows = list(csv.DictReader((data / "labels.csv").read_text("utf-8").splitlines()))
        calibrating = [row["file"] for row in rows[::5]]
        scored = [row for place, row in enumerate(rows) if place % 5][:limit]
        found = [tensor(model, data / "images" / row["file"], folder) for row in scored]
        labels: list[Any] = [int(row["class_index"]) for row in scored]
        calibration = [tensor(model, data / "images" / each, folder)[0] for each in calibrating]
    else:
        data = zoo / "data/coco_val_140"
        listed = json.loads((data / "instances.json").read_text("utf-8"))["images"][:limit]
        found = [tensor(model, data / "images" / each["file_name"], folder) for each in listed]
        labels = [each["id"] for each in listed]
        folder_of_calibration = zoo / "data/coco_calib_40/images"
        calibration = [tensor(model, path, folder)[0] for path in sorted(folder_of_calibration.iterdir())]
    return Images(calibration, [path for path, _ in found], labels, [geometry for _, geometry in found])


def tensor(model: Model, image: Path, folder: Path) -> tuple[str, Geometry]:
    """Prepare one image, and return where its tensor lies."""
    ready = prepare(image.read_bytes(), model.input)
    path = folder / f"{image.name}.npy"
    np.save(path, ready.tensor)
    return str(path), ready.geometry


def score(model: Model, images: Images, outputs: Any, zoo: Path) -> float:
    """Return mAP50-95, or the share of images whose class is right."""
    arrays = [outputs[name] for name in outputs.files]
    if model.output.decoder == "classify":
        best = arrays[0].reshape(len(images.labels), -1).argmax(axis=1)
        return float(np.mean(best == np.array(images.labels)))
    annotations = (zoo / "data/coco_val_140/instances.json").read_bytes()
    predictions = [
        ImagePrediction(
            label, detections=decode([array[place][None] for array in arrays], model.output, geometry)
        )
        for place, (label, geometry) in enumerate(zip(images.labels, images.geometries, strict=True))
    ]
    scorer = DetectionScorer(annotations, class_names("coco80", base=Path()))
    return scorer.value(predictions)[0]


if __name__ == "__main__":
    main()
