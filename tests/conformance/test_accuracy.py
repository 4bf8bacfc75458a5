"""The zoo's files score what the zoo records for them, through the board's accuracy pass, on every runtime.

Integer inputs and outputs, channels last, boxes as fractions of the input and a background class come from
the files as they are; the profile states only what a file cannot.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from edgedyno.controller.lab.profiles import find_profile
from edgedyno.core.manifest import Variant
from edgedyno.core.profile import DatasetProfile, ModelProfile, Prebuilt
from tests.conformance import zoo as labelled
from tests.conformance.accuracy import scores
from tests.conformance.fidelity import nearness
from tests.conformance.here import RUNTIMES, SIMULATED

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.job import Precision
    from tests.conformance.here import Workshop

pytestmark = pytest.mark.zoo

TOLERANCE = 0.005
CLASSIFIER_TOLERANCE = 0.01  # two of 250 images: the record does not say how its images were interpolated
TFLITE = ["litert", "tflite"]
FRACTION = {"boxes": "fraction"}


class File(NamedTuple):
    """One of the zoo's files, and what it is recorded to score."""

    profile: str
    path: str
    format: str
    recorded: float
    runtimes: list[str]
    size: tuple[int, int] | None = None
    output: dict[str, Any] | None = None
    images: int = 79
    """79 with COCO's own labels, or all 140."""


YOLOX, YOLOV8 = "yolox_nano/yolox_nano_416_{}.tflite", "yolov8n/yolov8n_640_{}.tflite"
ONNX = [name for name in RUNTIMES if name not in ("ncnn", "mnn", *TFLITE)]
FILES = [
    File("yolox_nano", "yolox_nano/yolox_nano_416_fp32.onnx", "onnx", 0.322, ONNX),
    File("yolox_nano", YOLOX.format("fp16"), "tflite", 0.322, TFLITE),
    File("yolox_nano", YOLOX.format("dynrange"), "tflite", 0.312, TFLITE),
    File("yolox_nano", YOLOX.format("int8_floatio"), "tflite", 0.032, TFLITE),
    File("fastestdet", "fastestdet/FastestDet_352_fp32.onnx", "onnx", 0.198, ONNX, images=140),
    File("fastestdet", "fastestdet/ncnn/FastestDet.param", "ncnn", 0.185, ["ncnn"]),
    File("yolov5", "yolov5n/yolov5n_416_fp32.onnx", "onnx", 0.307, ONNX, size=(416, 416)),
]
LARGE = [
    File("yolov8", YOLOV8.format("int8w_floatio"), "tflite", 0.435, TFLITE, output=FRACTION),
    File("yolov8", YOLOV8.format("full_integer"), "tflite", 0.375, TFLITE, output=FRACTION),
    File("yolov8", "yolov8n/yolov8n_640_from_int8w.onnx", "onnx", 0.432, ["onnxruntime"], output=FRACTION),
]
# Recorded on 202 images, of which 140 are here: what counts is that fp16 agrees with fp32 on these.
YOLOV5 = [
    "yolov5n/yolov5n_640_fp32.onnx",
    "yolov5n/yolov5n_640_fp16.tflite",
    "yolov5n/yolov5n_640_int8.tflite",
]

# Formats that are built from ONNX have runtimes of their own; TVM takes 4 s an image in FP16.
BUILT = ["onnxruntime", "openvino", "ncnn", "mnn", *TFLITE]


def profile_of(name: str, tmp_path: Path, **changes: Any) -> ModelProfile:
    profile = find_profile(name, ModelProfile, base=tmp_path).profile
    return msgspec.structs.replace(profile, **changes)


def variant_of(workshop: Workshop, profile: ModelProfile, path: Path, kind: str) -> Variant:
    """Return the file as a variant; one of two files as resolving a job makes it."""
    if kind == "ncnn":
        base = find_profile(profile.name, ModelProfile, base=path.parent).base
        profile = msgspec.structs.replace(profile, source=str(base / str(profile.source)))
        brought = msgspec.structs.replace(
            profile, variants=[Prebuilt(str(path), "fp16")], name=f"zoo-{profile.name}"
        )
        return workshop.resolved(brought).prebuilt[0]
    return Variant(labelled_as(path.stem), kind, workshop.store.add_file(path))


def labelled_as(stem: str) -> Precision:
    """Return the precision that the file's name gives it."""
    if any(word in stem for word in ("int8", "integer", "dynrange", "quant")):
        return "fp32" if "from_int8w" in stem else "int8"
    return "fp16" if "fp16" in stem else "fp32"


def map_of(workshop: Workshop, zoo: Path, folder: Path, file: File) -> dict[str, float]:
    profile = profile_of(file.profile, folder)
    if file.size:
        spec = msgspec.structs.replace(profile.input, size=file.size)
        profile = msgspec.structs.replace(profile, input=spec)
    profile = msgspec.structs.replace(
        profile, output=msgspec.structs.replace(profile.output, **(file.output or {}))
    )
    variant = variant_of(workshop, profile, zoo / "models" / file.path, file.format)
    return scores_on(workshop, zoo, folder, profile, variant, file.runtimes, file.images)


def scores_on(
    workshop: Workshop,
    zoo: Path,
    folder: Path,
    profile: ModelProfile,
    variant: Variant,
    runtimes: list[str],
    count: int,
) -> dict[str, float]:
    official = count < 140
    labels = json.dumps(labelled.instances(zoo, official=official)).encode()
    images = labelled.images(zoo, official=official)
    assert len(images) == count
    return scores(workshop, folder, profile, variant, runtimes, images, labels, f"{count} images")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "file",
    [*(file for file in FILES if file.format != "ncnn"), *LARGE],
    ids=lambda file: file.path.split("/")[-1],
)
def test_detectors_score_what_is_recorded(workshop: Workshop, zoo: Path, tmp_path: Path, file: File) -> None:
    found = map_of(workshop, zoo, tmp_path, file)
    assert found == pytest.approx(dict.fromkeys(file.runtimes, file.recorded), abs=TOLERANCE)


def test_a_users_own_file_scores_what_is_recorded(workshop: Workshop, zoo: Path, tmp_path: Path) -> None:
    file = next(each for each in FILES if each.format == "ncnn")
    found = map_of(workshop, zoo, tmp_path, file)
    assert found == pytest.approx({"ncnn": file.recorded}, abs=TOLERANCE)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_yolov5_of_640_agrees_across_formats(workshop: Workshop, zoo: Path, tmp_path: Path) -> None:
    found = {}
    for path in YOLOV5:
        kind = path.rpartition(".")[2]
        file = File("yolov5", path, kind, 0.0, ["onnxruntime" if kind == "onnx" else "litert"])
        file = file._replace(output=None if kind == "onnx" else FRACTION)
        folder = tmp_path / path.replace("/", "-")
        folder.mkdir()
        (found[path],) = map_of(workshop, zoo, folder, file).values()
    assert found[YOLOV5[1]] == pytest.approx(found[YOLOV5[0]], abs=TOLERANCE)
    assert 0.01 < found[YOLOV5[0]] - found[YOLOV5[2]] < 0.07  # 0.0365 on the zoo's 202 images


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", BUILT)
def test_what_is_built_of_yolov5_scores_what_its_source_does(
    workshop: Workshop, zoo: Path, tmp_path: Path, name: str, precision: Precision
) -> None:
    profile = profile_of("yolov5", tmp_path)
    profile = msgspec.structs.replace(
        profile,
        name="yolov5n_416",
        source=str(zoo / "models/yolov5n/yolov5n_416_fp32.onnx"),
        input=msgspec.structs.replace(profile.input, size=(416, 416)),
        selftest=[],
    )
    built = workshop.build(profile, name, precision)
    found = scores_on(workshop, zoo, tmp_path, profile, built.variant, [name], 79)
    assert found == pytest.approx({name: 0.307}, abs=TOLERANCE)


SQUEEZENET = "squeezenet_v1.1/squeezenet_v1.1_227_fp32.onnx"


def labels_of(zoo: Path) -> tuple[list[tuple[int, Path]], bytes]:
    """Return the classifiers' images and their labels."""
    folder = zoo / "data/imagenet_sample"
    rows = list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))
    labels = "\n".join(f"{row['file']},{row['class_index']}" for row in rows).encode()
    return [(number, folder / "images" / row["file"]) for number, row in enumerate(rows)], labels


@pytest.mark.parametrize(
    ("profile", "path", "kind", "name", "recorded"),
    [
        ("squeezenet", SQUEEZENET, "onnx", "onnxruntime", 0.668),
        *(
            pytest.param("squeezenet", SQUEEZENET, "onnx", name, 0.668, marks=pytest.mark.long)
            for name in ONNX
            if name != "onnxruntime"
        ),
        pytest.param(
            "squeezenet",
            "squeezenet_v1.1/ncnn/squeezenet_v1.1.param",
            "ncnn",
            "ncnn",
            0.668,
            marks=pytest.mark.long,
        ),
        ("mobilenet_tf", "mobilenet_v2_1.0_224_quant.tflite", "tflite", "litert", 0.896),
        pytest.param(
            "mobilenet_tf",
            "mobilenet_v2_1.0_224_quant.tflite",
            "tflite",
            "tflite",
            0.896,
            marks=pytest.mark.long,
        ),
    ],
)
def test_classifiers_score_what_is_recorded(
    workshop: Workshop,
    zoo: Path,
    tmp_path: Path,
    profile: str,
    path: str,
    kind: str,
    name: str,
    recorded: float,
) -> None:
    spec = msgspec.structs.replace(profile_of(profile, tmp_path), source=str(zoo / "models" / SQUEEZENET))
    variant = variant_of(workshop, spec, zoo / "models" / path, kind)
    images, labels = labels_of(zoo)
    found = scores(workshop, tmp_path, spec, variant, [name], images, labels, "250 images")
    assert found == pytest.approx({name: recorded}, abs=CLASSIFIER_TOLERANCE)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("name", [*BUILT, *SIMULATED])
def test_what_is_built_of_squeezenet_keeps_its_accuracy(
    workshop: Workshop, zoo: Path, tmp_path: Path, name: str, precision: Precision
) -> None:
    profile = msgspec.structs.replace(
        profile_of("squeezenet", tmp_path),
        name="squeezenet_built",
        source=str(zoo / "models" / SQUEEZENET),
        selftest=[],
    )
    data = zoo / "data"
    dataset = DatasetProfile(
        "imagenet_sample",
        "classify",
        images=str(data / "imagenet_sample/images"),
        annotations=str(data / "imagenet_sample/labels.csv"),
        calibration=str(data / "coco_cc_calib/images"),
    )
    resolved = workshop.resolved(profile, dataset)
    built = workshop.build(profile, name, precision)
    found = nearness(workshop, resolved, built, tmp_path)
    images, labels = labels_of(zoo)
    score = scores(workshop, tmp_path, resolved.model, built.variant, [name], images, labels, "250 images")
    assert found.sqnr_db >= (10.0 if precision == "int8" else 30.0)
    assert score[name] == pytest.approx(0.668, abs=0.03 if precision == "int8" else CLASSIFIER_TOLERANCE)
