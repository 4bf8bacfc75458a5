"""What users do wrong, through the whole of `edgedyno run`: a clear error or a failed trial, and the job goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnx
import pytest
import yaml
from PIL import Image

from edgedyno.core.predictions import read_predictions
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES = ROOT / "profiles/edgedyno/profiles/samples/data/coco_ccby"
PROFILES = ROOT / "profiles" / "edgedyno" / "profiles"


class Case:
    """A folder with a small job, its model profile and data set, all of which a test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = yaml.safe_load((PROFILES / "models" / "fastestdet.yaml").read_text())
        source = (PROFILES / "models" / self.model["source"]).resolve()
        self.onnx = folder / "model.onnx"
        shutil.copy(source, self.onnx)
        self.model |= {"source": "model.onnx"}
        del self.model["sha256"]
        self.images = folder / "images"
        self.images.mkdir()
        for image in sorted((SAMPLES / "images").iterdir())[:3]:
            shutil.copy(image, self.images)
        self.dataset: dict[str, Any] = {"name": "few", "task": "detect", "images": "images"}
        self.job: dict[str, Any] = {
            "name": "case",
            "model": "model.yaml",
            "dataset": "dataset.yaml",
            "sweep": {"precisions": ["fp32"], "threads": [1]},
            "measure": {"precision": "50%", "max_seconds": 2},
        }

    def label(self) -> dict[str, Any]:
        """Give the images that are there their annotations; return them."""
        labels: dict[str, Any] = json.loads((SAMPLES / "instances.json").read_text())
        labels = self.of_those_here(labels)
        self.relabel(labels)
        return labels

    def of_those_here(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Return the annotations of the images that are there."""
        images = [each for each in labels["images"] if (self.images / each["file_name"]).exists()]
        ids = {each["id"] for each in images}
        boxes = [each for each in labels["annotations"] if each["image_id"] in ids]
        return labels | {"images": images, "annotations": boxes}

    def relabel(self, labels: dict[str, Any]) -> None:
        """Write annotations and have the data set name them."""
        (self.folder / "instances.json").write_text(json.dumps(labels))
        self.dataset["annotations"] = "instances.json"

    def run(self) -> subprocess.CompletedProcess[str]:
        """Write everything and run it."""
        for name in ("model", "dataset", "job"):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(getattr(self, name)))
        return subprocess.run(
            [sys.executable, "-m", "edgedyno.cli.main", "run", "job.yaml", "--out", "out"],
            cwd=self.folder, capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip

    def results(self) -> list[dict[str, Any]]:
        """Return what was written."""
        return [json.loads(line) for line in (self.folder / "out" / "results.jsonl").read_text().splitlines()]

    def refused(self, *words: str) -> None:
        """Expect exit code 2, the words on stderr, and nothing written."""
        done = self.run()
        assert done.returncode == 2, done.stderr
        for word in words:
            assert word in done.stderr
        assert "Traceback" not in done.stderr
        assert not (self.folder / "out" / "results.jsonl").exists()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Make a job that is all right as it is."""
    return Case(tmp_path)


def test_an_empty_model_file_is_refused(case: Case) -> None:
    case.onnx.write_bytes(b"")
    case.refused("model.onnx", "0 bytes")


def test_a_truncated_model_file_is_refused(case: Case) -> None:
    case.onnx.write_bytes(case.onnx.read_bytes()[:5000])
    case.refused("model.onnx")


def test_a_file_that_is_not_onnx_is_refused(case: Case) -> None:
    case.onnx.write_bytes(b"GIF89a" + bytes(1000))
    case.refused("model.onnx", "ONNX")


def test_a_wrong_sha256_is_refused(case: Case) -> None:
    case.model["sha256"] = "0" * 64
    case.refused("sha256", "0" * 12)


def test_an_unknown_model_names_the_nearest(case: Case) -> None:
    case.job["model"] = "fastestdat"
    case.refused("'fastestdat'", "did you mean 'fastestdet'?")


def test_an_opset_the_runtime_does_not_know_fails_its_trials_only(case: Case) -> None:
    model = onnx.load(case.onnx)
    model.opset_import[0].version = 99
    onnx.save(model, case.onnx)
    done = case.run()
    assert done.returncode in (1, 2), done.stderr
    assert "opset" in (done.stderr + done.stdout).lower()
    assert "Traceback" not in done.stderr


def test_an_image_that_does_not_decode_is_counted_and_named(case: Case) -> None:
    broken = min(case.images.iterdir())
    broken.write_bytes(broken.read_bytes()[:200])
    done = case.run()
    assert (case.folder / "out" / "results.jsonl").exists(), done.stderr
    (result,) = case.results()
    assert result["status"] == "ok"
    artifact = case.folder / "out" / "predictions" / f"{result['predictions_sha256']}.jsonl.gz"
    images = read_predictions(artifact.read_bytes()).images
    assert len(images) == 3
    assert sum(bool(image.error) for image in images) == 1
    assert result["images"]["codes"] == {"image.undecodable": 1}
    assert "1 of 3 images have no prediction" in done.stderr
    assert "image.undecodable: image" in done.stderr


def test_without_annotations_there_is_no_accuracy_and_it_says_so(case: Case) -> None:
    case.run()
    (result,) = case.results()
    assert result["accuracy"] is None
    assert "annotations" in result["accuracy_reason"]
    assert result["latency_seconds"]["p50"] > 0


def test_more_threads_than_the_board_has_are_skipped_with_the_reason(case: Case) -> None:
    case.job["sweep"]["threads"] = [1, 4000]
    case.run()
    skipped = [result for result in case.results() if result["status"] == "skipped"]
    assert len(skipped) == 1
    assert "4000" in skipped[0]["failure"]["text"]


@pytest.mark.parametrize("precision", ["0%", "200%"])
def test_a_precision_that_cannot_be_is_refused(case: Case, precision: str) -> None:
    case.job["measure"]["precision"] = precision
    case.refused("job.yaml:", "measure.precision", repr(precision), "above 0% and at most 50%")


def test_less_time_than_a_round_takes_is_refused(case: Case) -> None:
    case.job["measure"]["max_seconds"] = "100 ms"
    case.refused("job.yaml:", "measure.max_seconds", "'100 ms'", "at least 1 s")


def test_core_sets_that_are_not_there_are_skipped_with_the_reason(case: Case) -> None:
    case.job["sweep"]["cores"] = ["bigg", "7000"]
    case.run()
    failures = {result["cores"]: result["failure"] for result in case.results()}
    assert failures["bigg"]["code"] == "cores.unknown"
    assert "expected one of all" in failures["bigg"]["text"]
    assert failures["7000"]["code"] == "cores.missing"
    assert "names CPU 7000, this board has 0" in failures["7000"]["text"]


def test_int8_without_calibration_images_fails_alone(case: Case) -> None:
    case.job["sweep"]["precisions"] = ["fp32", "int8"]
    case.run()
    states = {result["precision"]: result for result in case.results()}
    assert states["fp32"]["status"] == "ok"
    assert states["int8"]["status"] in ("failed", "skipped")
    assert "calibration" in states["int8"]["failure"]["text"]


def test_an_unknown_runtime_is_skipped_with_the_nearest_name(case: Case) -> None:
    case.job["sweep"]["runtimes"] = ["onnxruntme"]
    done = case.run()
    assert done.returncode == 1
    assert "onnxruntime" in done.stdout


def test_a_requirement_that_nothing_meets_exits_with_1(case: Case) -> None:
    case.job["require"] = {"latency_p50": "1 ns"}
    done = case.run()
    assert done.returncode == 1
    assert "NONE MEETS" in done.stdout or "CANNOT TELL" in done.stdout


def test_annotations_for_other_images_are_refused(case: Case) -> None:
    labels = case.label()
    for image in labels["images"]:
        image["file_name"] = f"other-{image['file_name']}"
    case.relabel(labels)
    case.refused("the labels are for other images", "dataset.other-images")


def test_annotations_without_a_box_are_refused(case: Case) -> None:
    case.relabel(case.label() | {"annotations": []})
    case.refused("not one usable box", "dataset.no-boxes")


def test_annotations_of_other_classes_are_refused(case: Case) -> None:
    labels = case.label()
    for number, category in enumerate(labels["categories"]):
        category["name"] = f"defect {number}"
    case.relabel(labels)
    case.refused("none of the model's classes (person, bicycle, car, …)", "defect 0")


def test_fewer_classes_than_the_model_has_leave_no_accuracy_and_it_says_so(case: Case) -> None:
    case.label()
    case.model |= {"classes": ["person", "car", "dog", "horse", "pizza"], "selftest": []}
    done = case.run()
    (result,) = case.results()
    assert result["accuracy"] is None
    assert "expected 0 to 4: the model has more classes than its profile names" in result["accuracy_reason"]
    assert f"no accuracy of onnxruntime onnx fp32: {result['accuracy_reason']}" in done.stderr


def test_an_output_that_the_decoder_does_not_know_is_named_and_counted(case: Case) -> None:
    case.label()
    case.model["output"] = {"decoder": "yolov8"}
    for known in case.model["selftest"]:
        known["image"] = str(PROFILES / "models" / known["image"])
    done = case.run()
    (result,) = case.results()
    assert result["images"]["codes"] == {"output.shape": 3}
    assert result["selftest"]["looks_like"] == "output.decoder"
    assert done.returncode == 1
    assert done.stderr.count("found output [1, 85, 22, 22], expected [1, 4 + classes, boxes]") == 2
    assert "output.decoder: yolov8 → fastestdet" in " ".join(done.stdout.split())


def test_odd_images_of_all_kinds_are_counted_and_stay_in_the_denominator(case: Case) -> None:
    kinds = {
        "one.png": (1, 1),
        "huge.png": (10_000, 10_000),
        "deep.png": None,
        "cmyk.jpg": None,
        "cut.jpg": None,
    }
    originals = [
        path for path in sorted((SAMPLES / "images").iterdir()) if not (case.images / path.name).exists()
    ]
    _write_odd_images(case.images, dict(zip(kinds, originals, strict=False)))
    labels = json.loads((SAMPLES / "instances.json").read_text())
    by_name = {each["file_name"]: each for each in labels["images"]}
    for (name, size), original in zip(kinds.items(), originals, strict=False):
        by_name[original.name]["file_name"] = name
        if size is not None:
            by_name[original.name] |= {"width": size[0], "height": size[1]}
    case.relabel(case.of_those_here(labels))
    done = case.run()
    (result,) = case.results()
    assert result["images"]["shown"] == 8
    assert result["images"]["codes"] == {"image.too-small": 1, "image.too-large": 1, "image.truncated": 1}
    assert result["accuracy"]["images"] == 8
    assert result["accuracy"]["details"]["images_without_prediction"] == 3
    assert "3 of 8 images have no prediction and count as ones where nothing was seen" in done.stderr
    for words in ("one.png (1x1 pixels", "huge.png (10000x10000 pixels", "cut.jpg (ends too early)"):
        assert words in done.stderr


def _write_odd_images(folder: Path, originals: dict[str, Path]) -> None:
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.new("L", (10_000, 10_000)).save(folder / "huge.png")
    pixels = np.asarray(Image.open(originals["deep.png"]).convert("RGB"))[:, :, ::-1]
    assert cv2.imwrite(str(folder / "deep.png"), pixels.astype(np.uint16) * 257)
    Image.open(originals["cmyk.jpg"]).convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    data = originals["cut.jpg"].read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])


def test_a_folder_without_labels_is_judged_by_fidelity_and_never_by_accuracy(case: Case) -> None:
    (case.images / "labels.kitti").write_text("Car 0.00 0 -1.57 599 156 629 189")
    (case.images / "notes.json").write_text("{}")
    case.job |= {"dataset": "./images", "require": {"agreement": "50%"}}
    case.job["sweep"]["precisions"] = ["fp32", "fp16"]
    done = case.run()
    fp16 = next(result for result in case.results() if result["precision"] == "fp16")
    assert fp16["accuracy"] is None
    assert fp16["fidelity"]["agreement"]["images"] == 3
    assert fp16["fidelity"]["agreement"]["matched"]["value"] > 0.9
    assert "Fidelity to FP32, which is not accuracy" in done.stdout
    assert "3 images without labels: no accuracy, only how far each variant agrees with FP32" in done.stderr
    assert "files that may be labels, in none of the known formats" in done.stderr
    assert "notes.json" in done.stderr
    verdict = json.loads((case.folder / "out" / "verdict.json").read_text())[0]
    judged = {item["requirement"] for choice in verdict["choices"] for item in choice["judgements"]}
    assert judged == {"agreement"}
