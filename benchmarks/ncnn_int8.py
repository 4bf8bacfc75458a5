"""How much accuracy ncnn's INT8 keeps by each way of calibrating: models of the zoo, in stock ncnn.

Reads models and images from EDGEDYNO_ZOO alone; nothing of them is kept. Calibrates on coco_calib_40 and scores on
coco_val_140 (detectors), or on imagenet_sample, every fifth image calibrating and the others scored (classifier).
The drop is paired: FP32 on the same images, with a 95 % interval by resampling them.
Usage: EDGEDYNO_ZOO=... python benchmarks/ncnn_int8.py --python BUILDER_PYTHON [--models NAME...]
    [--recipes NAME...] [--all] [--images N]
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
from edgedyno.controller.lab.scoring import Score, score
from edgedyno.core.profile import InputSpec, OutputSpec
from edgedyno.core.result import ImagePrediction, Predictions
from edgedyno.core.vision import decode, decode_classes, prepare

if TYPE_CHECKING:
    from edgedyno.core.vision.geometry import Geometry

WORKER = Path(__file__).with_name("ncnn_int8_worker.py")
PLAIN = {"equalize": False, "correct_bias": False, "per_channel": False}
METHODS = ("minmax", "kl", "aciq", "mse")


class Model(NamedTuple):
    """One model of the zoo, and the recipes that are tried on it."""

    source: str
    """Relative to the zoo; an ONNX file, or ncnn's two files without their ending."""
    input: InputSpec
    output: OutputSpec
    stems: tuple[int, ...] = ()
    """How many of the first layers stay in float, in recipes of their own."""
    allowed_drop: float | None = None
    """For a recipe that searches what has to stay in float."""


def recipes(model: Model, *, everything: bool) -> list[dict[str, Any]]:
    """Return each method, and one as ncnn's own tools do it; with `everything` all of them and stems in float."""
    found: list[dict[str, Any]] = [{"name": method, "method": method} for method in METHODS]
    plain = METHODS if everything else ("kl",)
    found += [{"name": f"{method}-plain", "method": method, **PLAIN} for method in plain]
    if everything:
        found += [{"name": f"kl-stem{stem}", "method": "kl", "stem": stem} for stem in model.stems]
        found += [
            {"name": f"mse-plain-stem{stem}", "method": "mse", "stem": stem, **PLAIN} for stem in model.stems
        ]
        found.append({"name": "auto", "method": "auto"})
    if model.allowed_drop is not None:
        found.append({"name": "kl-control", "method": "kl", "allowed_drop": model.allowed_drop})
        found.append(
            {"name": "mse-plain-control", "method": "mse", "allowed_drop": 2 * model.allowed_drop, **PLAIN}
        )
    return found


FASTESTDET = InputSpec(size=(352, 352), colour="BGR", resize="stretch")
MODELS = {
    "fastestdet": Model(
        "models/fastestdet/FastestDet_352_fp32.onnx",
        FASTESTDET,
        OutputSpec(decoder="fastestdet"),
    ),
    "fastestdet-ncnn": Model(
        "models/fastestdet/ncnn/FastestDet",
        FASTESTDET,
        OutputSpec(decoder="fastestdet"),
    ),
    "yolox_nano": Model(
        "models/yolox_nano/yolox_nano_416_fp32.onnx",
        InputSpec(size=(416, 416), colour="BGR", resize="letterbox-topleft", std=(1.0, 1.0, 1.0)),
        OutputSpec(decoder="yolox", strides=[8, 16, 32]),
        stems=(1, 2, 3),
        allowed_drop=0.012,
    ),
    "yolov5n": Model(
        "models/yolov5n/yolov5n_416_fp32.onnx",
        InputSpec(size=(416, 416)),
        OutputSpec(decoder="yolov5"),
    ),
    "squeezenet": Model(
        "models/squeezenet_v1.1/squeezenet_v1.1_227_fp32.onnx",
        InputSpec(
            size=(227, 227), colour="BGR", resize="resize-crop", mean=(104, 117, 123), std=(1.0, 1.0, 1.0)
        ),
        OutputSpec(decoder="classify"),
    ),
}


class Images(NamedTuple):
    """Prepared images: where the tensors lie, and what is needed to score."""

    calibration: list[str]
    scored: list[str]
    labels: list[int]
    """By which the data set knows each scored image."""
    geometries: list[Geometry]


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="an interpreter with ncnn, pnnx and numpy")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--recipes", nargs="+", help="of those that are tried, try these alone")
    parser.add_argument("--all", action="store_true", help="try recipes besides that take longer")
    parser.add_argument("--images", type=int, default=1000, help="score at most so many")
    arguments = parser.parse_args()
    zoo = Path(os.environ["EDGEDYNO_ZOO"])
    print(
        f"{'model':16} {'variant':18} {'accuracy':>8} {'drop':>7} {'95 % of the drop':>17} {'output SQNR':>12}"
        f" {'.bin kB':>8} {'int8':>5} {'float':>6}"
    )
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            tried = [
                recipe
                for recipe in recipes(MODELS[name], everything=arguments.all)
                if arguments.recipes is None or recipe["name"] in arguments.recipes
            ]
            measure(name, zoo, arguments.python, tried, Path(folder), limit=arguments.images)


def measure(
    name: str, zoo: Path, python: str, tried: list[dict[str, Any]], folder: Path, *, limit: int
) -> None:
    """Build, run and score one model's variants."""
    model = MODELS[name]
    images = prepared(model, zoo, limit, folder)
    page = {
        "source": str(zoo / model.source),
        "shape": [1, 3, *model.input.size],
        "calibration": images.calibration,
        "images": images.scored,
        "recipes": tried,
        "out": str(folder),
    }
    (folder / "request.json").write_text(json.dumps(page))
    command = [python, str(WORKER), str(folder / "request.json")]
    baseline = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or []:
            told = json.loads(line)
            found = predictions(model, images, np.load(folder / f"{told['name']}.npz"))
            print(f"{name:16} {row(told, scored(model, found, baseline, zoo))}", flush=True)
            baseline = baseline or found
    if process.returncode != 0:
        sys.exit(f"the builder's interpreter ended with status {process.returncode}")


def row(told: dict[str, Any], result: Score) -> str:
    """Return a row of the table, but for the model."""
    drop = result.drop
    change = f"{drop.value:7.4f} {drop.low or 0:8.4f} {drop.high or 0:8.4f}" if drop else " " * 25
    decibels = f"{told['decibels']:9.1f} dB" if "decibels" in told else ""
    kept = len(told.get("float_layers", []))
    return (
        f"{told['name']:18} {result.accuracy.value:8.4f} {change} {decibels:>12} {told['bytes'] / 1e3:8.0f}"
        f" {told.get('int8_layers', 0):5} {kept:6}"
    )


def prepared(model: Model, zoo: Path, limit: int, folder: Path) -> Images:
    """Write the tensors of the images that calibrate and that are scored."""
    if model.output.decoder == "classify":
        data = zoo / "data/imagenet_sample"
        rows = list(csv.DictReader((data / "labels.csv").read_text("utf-8").splitlines()))
        calibrating = [row["file"] for row in rows[::5]]
        labels = [place for place in range(len(rows)) if place % 5][:limit]
        found = [tensor(model, data / "images" / rows[place]["file"], folder) for place in labels]
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


def predictions(model: Model, images: Images, outputs: Any) -> Predictions:
    """Return what the outputs say of each image."""
    arrays = [outputs[name] for name in outputs.files]
    found = []
    for place, (label, geometry) in enumerate(zip(images.labels, images.geometries, strict=True)):
        own = [array[place][None] for array in arrays]
        found.append(
            ImagePrediction(label, classes=decode_classes(own, model.output))
            if model.output.decoder == "classify"
            else ImagePrediction(label, detections=decode(own, model.output, geometry))
        )
    return Predictions("0" * 64, "ncnn", "0" * 64, found)


def scored(model: Model, found: Predictions, baseline: Predictions | None, zoo: Path) -> Score:
    """Return mAP50-95, or the share of images whose class is right."""
    if model.output.decoder == "classify":
        labels = (zoo / "data/imagenet_sample/labels.csv").read_bytes()
        names = class_names(1000, base=Path())
        return score(found, annotations=labels, class_names=names, baseline=baseline, task="classify")
    annotations = (zoo / "data/coco_val_140/instances.json").read_bytes()
    names = class_names("coco80", base=Path())
    return score(found, annotations=annotations, class_names=names, baseline=baseline)


if __name__ == "__main__":
    main()
