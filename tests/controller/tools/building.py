"""Ask a builder as the controller does, in the interpreter that ./scripts/runtimes makes for it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgedyno.controller.lab.variants import tools
from tests.conftest import ROOT

TOOLS = Path(str(tools.__file__)).parent
SIDE = 32
# Where ./scripts/runtimes puts each tool; EDGEDYNO_RUNTIMES names another first folder.
_SUFFIX = {"openvino": "", "mnn": "", "tflite": "-tflite-builder", "rknn": "-rknn"}


def interpreter(name: str) -> str:
    """Return the interpreter of a format's tool."""
    folder = os.environ.get("EDGEDYNO_RUNTIMES", str(ROOT / ".runtimes")) + _SUFFIX[name]
    python = Path(folder) / "bin/python"
    if not python.exists():
        pytest.fail(f"{python} is missing: ./scripts/runtimes makes it")
    return str(python)


class Built(NamedTuple):
    """What a builder answered, and the file that it was to write."""

    answer: dict[str, Any]
    path: Path

    @property
    def details(self) -> dict[str, Any]:
        assert "failure" not in self.answer, self.answer
        return dict(self.answer["details"])

    @property
    def failure(self) -> dict[str, str]:
        return dict(self.answer["failure"])

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def build(
    name: str,
    source: Path,
    precision: str,
    folder: Path,
    *,
    calibration: list[Path] | None = None,
    excluded: list[str] | None = None,
    options: dict[str, Any] | None = None,
) -> Built:
    """Run the builder of format `name`; each call has a folder of its own."""
    own = Path(tempfile.mkdtemp(dir=folder))
    scratch = own / "scratch"
    scratch.mkdir()
    entry = onnx.load(source).graph.input[0]
    request = {
        "precision": precision,
        "source": str(source),
        "target": str(own / "variant"),
        "scratch": str(scratch),
        "input_name": entry.name,
        "input_shape": [size.dim_value for size in entry.type.tensor_type.shape.dim],
        "calibration": [str(path) for path in calibration or []],
        "excluded": excluded or [],
        "options": options or {},
        "answer": str(own / "answer.json"),
    }
    (own / "request.json").write_text(json.dumps(request), "utf-8")
    command = [interpreter(name), str(TOOLS / "bootstrap.py"), name, str(own / "request.json")]
    done = subprocess.run(command, capture_output=True, timeout=280, check=False, cwd=own)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert done.stdout == b"", "what a tool prints is no answer"
    return Built(json.loads((own / "answer.json").read_text("utf-8")), own / "variant")


def outputs(name: str, path: Path, tensor: Any, folder: Path) -> list[Any]:
    """Run a built file in its own runtime on one tensor."""
    given, found = folder / "given.npy", folder / "found.npz"
    np.save(given, tensor)
    script = Path(__file__).parent / "infer.py"
    command = [interpreter(name), str(script), name, str(path), str(given), str(found)]
    done = subprocess.run(command, capture_output=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    with np.load(found) as arrays:
        return [arrays[key] for key in arrays.files]


def reference(source: Path, tensor: Any) -> list[Any]:
    """Run the ONNX file on one tensor."""
    session = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: tensor}))


def sqnr_db(found: Any, wanted: Any) -> float:
    """Return the ratio of signal to error in decibels."""
    assert found.shape == wanted.shape
    error = float(((found - wanted) ** 2).sum())
    return float(10 * np.log10(float((wanted**2).sum()) / max(error, 1e-30)))


def two_heads(path: Path) -> Path:
    """Write a model with strides, a reshape by a constant, and two outputs of different scale."""
    random = np.random.default_rng(5)
    weights = {
        "stem.w": random.normal(0, 0.2, (8, 3, 3, 3)),
        "stem.b": random.normal(0, 0.1, 8),
        "body.w": random.normal(0, 0.2, (8, 8, 3, 3)),
        "boxes.w": random.normal(0, 9.0, (4, 8, 1, 1)),
        "scores.w": random.normal(0, 0.2, (6, 8, 1, 1)),
    }
    initializers = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    initializers.append(numpy_helper.from_array(np.array([0, 4, -1], np.int64), "flat"))
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "stem.w", "stem.b"], ["stem"], "Conv_0", strides=[2, 2], **same),
        helper.make_node("Relu", ["stem"], ["stem.relu"], "Relu_1"),
        helper.make_node("Conv", ["stem.relu", "body.w"], ["body"], "Conv_2", **same),
        helper.make_node("Relu", ["body"], ["body.relu"], "Relu_3"),
        helper.make_node("Conv", ["body.relu", "boxes.w"], ["boxes.map"], "Conv_4"),
        helper.make_node("Reshape", ["boxes.map", "flat"], ["boxes"], "Reshape_5"),
        helper.make_node("Conv", ["body.relu", "scores.w"], ["scores.map"], "Conv_6"),
        helper.make_node("Sigmoid", ["scores.map"], ["scores"], "Sigmoid_7"),
    ]
    half = SIDE // 2
    return _save(path, nodes, initializers, {"scores": [1, 6, half, half], "boxes": [1, 4, half * half]})


def with_operator(path: Path, operator: str, domain: str) -> Path:
    """Write a model of one operator."""
    nodes = [helper.make_node(operator, ["image"], ["out"], f"{operator}_0", domain=domain)]
    return _save(path, nodes, [], {"out": [1, 3, SIDE, SIDE]}, domain)


def _save(path: Path, nodes: Any, initializers: Any, results: dict[str, list[int]], domain: str = "") -> Path:
    entry = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in results.items()
    ]
    graph = helper.make_graph(nodes, "g", [entry], values, initializers)
    opsets = [helper.make_opsetid("", 13)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def images(folder: Path, count: int = 4) -> list[Path]:
    """Write tensors such as images of eight bits give."""
    random = np.random.default_rng(7)
    paths = [folder / f"{index}.npy" for index in range(count)]
    for path in paths:
        np.save(path, random.integers(0, 256, (1, 3, SIDE, SIDE)).astype(np.float32) / 255)
    return paths
