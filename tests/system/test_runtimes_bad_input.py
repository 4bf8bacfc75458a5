"""What users bring that cannot run, all in one job: each is one failed trial with its reason, and the rest runs."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from tests.agent.runtimes import foreign
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROFILES = ROOT / "profiles" / "edgedyno" / "profiles"
SAMPLES = PROFILES / "samples" / "data" / "coco_ccby" / "images"
ODD_PARAM = "7767517\n2 2\nInput in0 0 1 in0 0=352 1=352 2=3\nYoloV5Focus focus 1 1 in0 out0\n"


class Bench:
    """A folder with FastestDet, a few images and a job over what the test brings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = yaml.safe_load((PROFILES / "models" / "fastestdet.yaml").read_text())
        source = (PROFILES / "models" / self.model["source"]).resolve()
        shutil.copy(source, folder / "model.onnx")
        self.model |= {"source": "model.onnx", "variants": []}
        del self.model["sha256"]
        for name in ("images", "calibration"):
            (folder / name).mkdir()
            for image in sorted(SAMPLES.iterdir())[:2]:
                shutil.copy(image, folder / name)
        self.dataset: dict[str, Any] = {"name": "few", "task": "detect", "images": "images"}
        self.pythons = [f"default={sys.executable}"]

    def bring(self, name: str, file: str) -> None:
        """Bring a file of the user's as an FP32 variant."""
        self.model["variants"].append({"file": file, "precision": "fp32", "name": name})

    def run(self, runtimes: list[str], precisions: tuple[str, ...] = ("fp32",)) -> dict[str, dict[str, Any]]:
        """Run everything; return results by runtime, precision and the variant's name."""
        job = {
            "name": "bad",
            "model": "model.yaml",
            "dataset": "dataset.yaml",
            "sweep": {"runtimes": runtimes, "precisions": list(precisions), "threads": [1]},
            "measure": {"precision": "50%", "max_seconds": 2},
        }
        for name, content in (("model", self.model), ("dataset", self.dataset), ("job", job)):
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        pythons = [word for python in self.pythons for word in ("--python", python)]
        done = subprocess.run(
            [sys.executable, "-m", "edgedyno.cli.main", "run", "job.yaml", "--out", "out", *pythons],
            cwd=self.folder, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr  # 1 on a machine that is busy with other work
        assert "Traceback" not in done.stderr
        lines = (self.folder / "out/results.jsonl").read_text().splitlines()
        results = [json.loads(line) for line in lines]
        return {f"{each['runtime']} {each['precision']} {each['variant']}".rstrip(): each for each in results}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Make a job that is all right as it is."""
    return Bench(tmp_path)


def failed(result: dict[str, Any], code: str, *words: str) -> None:
    """Expect a trial without numbers, with this reason."""
    assert result["status"] in ("failed", "skipped")
    assert result["latency_seconds"] is None
    assert result["failure"]["code"] == code, result["failure"]
    for word in words:
        assert word in result["failure"]["text"]


def spoil(bench: Bench, name: str, what: str) -> None:
    """Write a copy of the model that is wrong in one way."""
    model = onnx.load(bench.folder / "model.onnx")
    if what == "operator":
        model.graph.node[5].op_type = "Levitate"
    tensor = model.graph.input[0].type.tensor_type
    if what in ("half", "bytes"):
        source = model.graph.input[0].name
        tensor.elem_type = {"half": TensorProto.FLOAT16, "bytes": TensorProto.UINT8}[what]
        for node in model.graph.node:
            node.input[:] = ["as_float" if each == source else each for each in node.input]
        model.graph.node.insert(0, helper.make_node("Cast", [source], ["as_float"], to=TensorProto.FLOAT))
    if what == "shape":
        for side in (2, 3):
            tensor.shape.dim[side].ClearField("dim_value")
            tensor.shape.dim[side].dim_param = f"side{side}"
    onnx.save(model, bench.folder / f"{name}.onnx")
    bench.bring(name, f"{name}.onnx")


def test_files_that_cannot_run_fail_alone(bench: Bench) -> None:
    for what in ("operator", "half", "bytes", "shape"):
        spoil(bench, what, what)
    (bench.folder / "odd.param").write_text(ODD_PARAM)
    (bench.folder / "odd.bin").write_bytes(bytes(8))
    (bench.folder / "alone.param").write_text(ODD_PARAM.replace("YoloV5Focus", "ReLU"))
    shutil.copy(bench.folder / "model.onnx", bench.folder / "lies.param")
    for name in ("odd", "alone", "lies"):
        bench.bring(name, f"{name}.param")
    bench.pythons.append(f"others={foreign.interpreter()}")
    broken = min((bench.folder / "calibration").iterdir())
    broken.write_bytes(broken.read_bytes()[:200])
    bench.dataset["calibration"] = "calibration"
    results = bench.run(["onnxruntime", "ncnn"], ("fp32", "int8"))
    assert results["onnxruntime fp32"]["status"] == "ok"
    assert results["onnxruntime fp32 shape"]["status"] == "ok", "sides that are free take the job's size"
    failed(results["onnxruntime fp32 operator"], "model.operator", "Levitate")
    failed(results["onnxruntime fp32 bytes"], "input.dtype", "uint8")
    assert results["onnxruntime fp32 half"]["status"] == "ok", "an input of another float type is made so"
    failed(results["ncnn fp32 odd"], "prebuilt.unusable", "YoloV5Focus")
    failed(results["ncnn fp32 alone"], "model.missing-part", "alone.bin")
    failed(results["ncnn fp32 lies"], "prebuilt.format", "an ONNX model")
    failed(results["onnxruntime int8"], "image.undecodable", "1 of 2 calibration images", broken.name)


def test_environments_that_break_fail_their_trials_alone(bench: Bench) -> None:
    bench.pythons += [f"mixed={_mixed(bench.folder)}", f"fleeting={_fleeting(bench.folder)}"]
    results = bench.run(["onnxruntime", "tflite", "openvino"])
    assert results["onnxruntime fp32"]["status"] == "ok"
    failed(results["tflite fp32"], "runtime.unavailable", "tflite in 'mixed': a tiny model does not run")
    failed(results["openvino fp32"], "runtime.gone", "'fleeting' is gone")


def _mixed(folder: Path) -> Path:
    """Make an environment that imports and fails on its first model: tflite-runtime 2.14 beside a NumPy 2."""
    numpy, tflite = (_site(python) for python in (foreign.interpreter(), foreign.interpreter("tflite")))
    return _environment(folder / "mixed", [*numpy.glob("numpy*"), *tflite.glob("tflite_runtime*")])


def _fleeting(folder: Path) -> Path:
    """Make an interpreter that tells what it has, runs one probe, and is not there any more."""
    site = _site(foreign.interpreter())
    real = _environment(folder / "one", [*site.glob("openvino*"), *site.glob("numpy*")])
    python = folder / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *survey*) ;; *) rm {python};; esac\nexec {real} "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    return python


def _site(python: Path) -> Path:
    return next((python.parent.parent / "lib").glob("python3*/site-packages"))


def _environment(folder: Path, packages: list[Path]) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    for package in packages:
        (_site(folder / "bin/python") / package.name).symlink_to(package)
    return folder / "bin/python"
