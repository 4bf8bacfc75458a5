"""The TensorFlow Lite plugin in its own environment, with NumPy 1: what it has of its own beside LiteRT's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.worker.process import WorkerError
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.worker.process import WorkerProcess

YOLOX = "models/yolox_nano/yolox_nano_416_{}.tflite"
MOBILENET = "models/mobilenet_v2_1.0_224_quant.tflite"


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    """One worker, loaded again and again."""
    with foreign.started("tflite", environment="tflite") as process:
        yield process


def test_probe_runs_the_tiny_model(worker: WorkerProcess) -> None:
    found = worker.ask("probe", foreign.SECONDS)["probe"]
    assert found["available"], found["reason"]
    assert found["version"].startswith("2.")
    assert found["details"]["numpy"].startswith("1.")


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("file", "shape", "word", "words"),
    [
        (YOLOX.format("fp16"), (1, 3, 416, 416), "fp32", "tensors stored as fp16 and widened"),
        (YOLOX.format("dynrange"), (1, 3, 416, 416), "int8", "activations quantized on the way"),
        # LiteRT's XNNPACK takes it; 2.14 leaves it to its own kernels.
        (
            MOBILENET,
            (1, 224, 224, 3),
            "int8",
            "no delegate: every operator runs in TensorFlow Lite's own kernels",
        ),
    ],
)
def test_effective_precision_is_what_the_graph_says(
    worker: WorkerProcess, zoo: Path, tmp_path: Path, file: str, shape: tuple[int, ...], word: str, words: str
) -> None:
    foreign.load(worker, zoo / file, tmp_path)
    foreign.outputs(worker, foreign.noise(*shape), tmp_path)
    answer = worker.ask("precision", foreign.SECONDS)
    assert answer["effective_precision"] == word
    assert words in answer["detail"]


@pytest.mark.zoo
def test_outputs_agree_with_onnx_runtime(worker: WorkerProcess, zoo: Path, tmp_path: Path) -> None:
    foreign.load(worker, zoo / YOLOX.format("fp16"), tmp_path)
    tensor = foreign.noise(1, 3, 416, 416) * 255
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    model = SAMPLES / "models/yolox_nano/yolox_nano_416_fp32.onnx"
    assert foreign.signal_to_noise_db(found, foreign.expected(model, tensor)) > 40


@pytest.mark.zoo
def test_integers_stand_for_what_they_mean(worker: WorkerProcess, zoo: Path, tmp_path: Path) -> None:
    """An elephant, by ImageNet's numbers with a background class before them."""
    (spec,) = foreign.load(worker, zoo / MOBILENET, tmp_path)
    assert (spec["dtype"], spec["scale"], spec["zero_point"]) == ("uint8", 1 / 128, 128)
    pixels = cv2.imread(str(next((SAMPLES / "data/coco_ccby").rglob("000000519208.jpg"))))
    tensor = cv2.resize(pixels, (224, 224))[None, :, :, ::-1].astype(np.float32) / 127.5 - 1
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert found.argmax() == 386


@pytest.mark.zoo
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_taken_keep_to_their_cores_and_sleep(threads: int, zoo: Path, tmp_path: Path) -> None:
    model = zoo / YOLOX.format("fp16")
    assert foreign.keeps_to_its_cores("tflite", model, foreign.noise(1, 3, 416, 416), threads, tmp_path)


def test_profile_says_why_not(worker: WorkerProcess, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(tiny.TFLITE)
    foreign.load(worker, path, tmp_path)
    assert foreign.outputs(worker, np.array(tiny.INPUT), tmp_path)[0].tolist() == tiny.EXPECTED
    with pytest.raises(WorkerError, match="gives no times of operators") as raised:
        worker.ask("profile", foreign.SECONDS)
    assert raised.value.code == "profile.unsupported"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model.empty"),
        (b"this is not TFLite at all, it is words in a file", "model.invalid"),
        (tiny.TFLITE[:-1] + bytes([32]), "model.operator"),  # its FULLY_CONNECTED made a custom operator
    ],
)
def test_bad_file_is_refused_by_name(
    worker: WorkerProcess, tmp_path: Path, content: bytes, code: str
) -> None:
    foreign.refuses(worker, content, tmp_path, code)
