"""The LiteRT plugin on real models, in its own environment: outputs, integers, threads, precision, failures."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.runtimes.base import InferenceError, TensorSpec
from edgedyno.agent.runtimes.litert_graph import describe
from edgedyno.agent.worker.process import WorkerError
from edgedyno.agent.worker.tensors import read_for
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign
from tests.agent.runtimes.test_openvino import noise, used_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.worker.process import WorkerProcess

YOLOX = "models/yolox_nano/yolox_nano_416_{}.tflite"
MOBILENET = "models/mobilenet_v2_1.0_224_quant.tflite"


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    """One worker, loaded again and again: starting one costs a second."""
    with foreign.started("litert") as process:
        yield process


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "model"  # artifacts have no suffix
    path.write_bytes(tiny.TFLITE)
    return path


def test_probe_runs_the_tiny_model(worker: WorkerProcess) -> None:
    found = worker.ask("probe", foreign.SECONDS)["probe"]
    assert found["available"], found["reason"]
    assert found["version"].count(".") == 2
    assert found["formats"] == ["tflite"]


def test_outputs_of_a_file_without_suffix(worker: WorkerProcess, tiny_file: Path, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, tiny_file, tmp_path)
    assert (spec["dtype"], spec["shape"], spec["scale"]) == ("float32", [1, 2], None)
    assert foreign.outputs(worker, np.array(tiny.INPUT), tmp_path)[0].tolist() == tiny.EXPECTED


@pytest.mark.zoo
def test_outputs_agree_with_onnx_runtime(worker: WorkerProcess, zoo: Path, tmp_path: Path) -> None:
    import onnxruntime

    foreign.load(worker, zoo / YOLOX.format("fp16"), tmp_path)
    tensor = noise(1, 3, 416, 416) * 255
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    session = onnxruntime.InferenceSession(
        str(SAMPLES / "models/yolox_nano/yolox_nano_416_fp32.onnx"), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"images": tensor})
    error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert (
        error < 0.01
    )  # the file's weights are rounded to FP16; a wrong layout or colour order gives about 1


@pytest.mark.zoo
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_taken_and_keep_to_their_cores(threads: int, zoo: Path, tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    with foreign.started("litert", cpus) as worker:
        before = worker.ask("check", foreign.SECONDS)["threads"]
        foreign.load(worker, zoo / YOLOX.format("fp16"), tmp_path, threads=threads)
        foreign.outputs(worker, noise(1, 3, 416, 416), tmp_path)
        assert len(worker.ask("burst", foreign.SECONDS, count=3)["latency_ns"]) == 3
        check = worker.ask("check", foreign.SECONDS)
        assert check["strayed_threads"] == 0
        assert (check["threads"] > before) == (threads > 1)


@pytest.mark.zoo
def test_waiting_costs_no_processor_time(worker: WorkerProcess, zoo: Path, tmp_path: Path) -> None:
    foreign.load(worker, zoo / YOLOX.format("fp16"), tmp_path, threads=2)
    foreign.outputs(worker, noise(1, 3, 416, 416), tmp_path)
    before = used_seconds(worker.pid)
    time.sleep(0.5)
    assert used_seconds(worker.pid) - before <= 0.05


@pytest.mark.zoo
@pytest.mark.parametrize(("image", "label"), [("000000519208", 386), ("000000160012", 964)])
def test_integers_go_in_and_come_out_as_what_they_stand_for(
    worker: WorkerProcess, zoo: Path, tmp_path: Path, image: str, label: int
) -> None:
    """An elephant and a pizza, by ImageNet's numbers with a background class before them."""
    (spec,) = foreign.load(worker, zoo / MOBILENET, tmp_path)
    assert (spec["dtype"], spec["scale"], spec["zero_point"]) == ("uint8", 1 / 128, 128)
    pixels = cv2.imread(str(next((SAMPLES / "data/coco_ccby").rglob(f"{image}.jpg"))))
    tensor = cv2.resize(pixels, (224, 224))[None, :, :, ::-1].astype(np.float32) / 127.5 - 1
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert found.argmax() == label
    assert 0.9 < found.max() <= 1.0


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("file", "shape", "word", "words"),
    [
        (YOLOX.format("fp16"), (1, 3, 416, 416), "fp32", "tensors stored as fp16 and widened"),
        (YOLOX.format("dynrange"), (1, 3, 416, 416), "int8", "activations quantized on the way"),
        # Labelled INT8; only its tail is.
        (YOLOX.format("int8_floatio"), (1, 3, 416, 416), "fp32", "of multiply-adds fp32"),
        (MOBILENET, (1, 224, 224, 3), "int8", "XNNPACK took"),
    ],
)
def test_effective_precision_is_what_the_graph_says(
    worker: WorkerProcess, zoo: Path, tmp_path: Path, file: str, shape: tuple[int, ...], word: str, words: str
) -> None:
    foreign.load(worker, zoo / file, tmp_path)
    foreign.outputs(worker, noise(*shape), tmp_path)
    answer = worker.ask("precision", foreign.SECONDS)
    assert answer["effective_precision"] == word
    assert "% of multiply-adds" in answer["detail"]
    assert words in answer["detail"]


def test_profile_is_not_to_be_had(worker: WorkerProcess, tiny_file: Path, tmp_path: Path) -> None:
    foreign.load(worker, tiny_file, tmp_path)
    with pytest.raises(WorkerError, match="no times of operators") as raised:
        worker.ask("profile", foreign.SECONDS)
    assert raised.value.code == "profile.unsupported"


def operator(index: int, name: str, inputs: list[int], outputs: list[int], *types: Any) -> dict[str, Any]:
    return {"index": index, "op_name": name, "inputs": inputs, "outputs": outputs, "operand_types": types}


def test_graph_is_told_by_work_and_by_who_does_it() -> None:
    tensors = [
        {"index": 0, "shape": [1, 8, 8, 3]},
        {"index": 1, "shape": [16, 3, 3, 3]},
        {"index": 2, "shape": [1, 8, 8, 16]},
        {"index": 3, "shape": [1, 3, 3, 16]},
        {"index": 4, "shape": [1, 8, 8, 16]},
    ]
    operators = [
        operator(0, "CONV_2D", [0, 1, -1], [2], np.int8, np.int8),
        operator(1, "DEPTHWISE_CONV_2D", [2, 3], [4], np.float32, np.float32),
        operator(2, "DELEGATE", [0, 1], [2]),
    ]
    word, detail = describe(operators, tensors, [4])
    assert word == "int8"  # 27 products for each output against 9
    assert detail == "75 % of multiply-adds int8; 25 % fp32; XNNPACK took 1 part, not 1 DEPTHWISE_CONV_2D"
    assert "no delegate" in describe(operators[:2], tensors, [4])[1]


def test_more_work_of_a_transposed_convolution() -> None:
    tensors = [{"index": 1, "shape": [8, 2, 2, 4]}, {"index": 2, "shape": [1, 4, 4, 4]}]
    transposed = operator(0, "TRANSPOSE_CONV", [0, 1, 2], [3], np.int32, np.int8, np.int8)
    assert describe([transposed], tensors, [3])[0] == "int8"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model.empty"),
        (b"this is not TFLite at all, it is words in a file", "model.invalid"),
        (tiny.TFLITE[:200], "model.invalid"),
        (tiny.ONNX, "model.invalid"),
    ],
)
def test_bad_file_is_refused_by_name(
    worker: WorkerProcess, tmp_path: Path, content: bytes, code: str
) -> None:
    foreign.refuses(worker, content, tmp_path, code)


@pytest.mark.parametrize("operator_code", [32, 125])  # a custom operator without name, and SEGMENT_SUM
def test_operator_that_cannot_run_is_refused_by_name(
    worker: WorkerProcess, tiny_file: Path, tmp_path: Path, operator_code: int
) -> None:
    tiny_file.write_bytes(tiny.TFLITE[:-1] + bytes([operator_code]))  # its FULLY_CONNECTED is the last byte
    with pytest.raises(WorkerError) as raised:
        foreign.load(worker, tiny_file, tmp_path)
    assert raised.value.code == "model.operator"


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "expected"),
    [
        ("uint8", 0.5, 10, [0, 10, 13, 255]),
        ("int8", 0.5, -1, [-128, -1, 2, 127]),
        ("int32", 1, 0, [-100, 0, 2, 1000]),
    ],
)
def test_float_becomes_the_integer_that_stands_for_it(
    tmp_path: Path, dtype: str, scale: float, zero_point: int, expected: list[int]
) -> None:
    np.save(tmp_path / "x.npy", np.array([[-100.0, 0.0, 1.5, 1000.0]], np.float32))
    spec = TensorSpec("x", dtype, (1, 4), scale, zero_point)
    found = read_for(spec, str(tmp_path / "x.npy"), 1)
    assert found.dtype == dtype
    assert found.tolist() == [expected]


def test_integer_without_meaning_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 4), np.float32))
    with pytest.raises(InferenceError) as raised:
        read_for(TensorSpec("x", "int64", (1, 4)), str(tmp_path / "x.npy"), 1)
    assert raised.value.code == "input.dtype"
