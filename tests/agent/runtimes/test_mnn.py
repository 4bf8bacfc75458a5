"""The MNN plugin on models that its own converter made: outputs, threads, precision, profile, failures."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.agent.runtimes import mnn_file, tiny
from edgedyno.agent.runtimes.mnn_profile import describe
from edgedyno.agent.worker.process import WorkerError
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign
from tests.agent.runtimes.test_openvino import relu, saved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.worker.process import WorkerProcess

FASTESTDET = SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx"
# Its converter without the command-line tools of its package, which install packages and report.
CONVERT = (
    "import sys, _tools; _tools.mnnconvert(['mnnconvert', '-f', 'ONNX', '--bizCode', 'x', *sys.argv[1:]])"
)


def convert(source: Path, target: Path, *options: str) -> Path:
    command = [
        str(foreign.interpreter()),
        "-c",
        CONVERT,
        "--modelFile",
        str(source),
        "--MNNModel",
        str(target),
    ]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=60)
    return target


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    """One worker, loaded again and again."""
    with foreign.started("mnn") as process:
        yield process


@pytest.fixture(scope="module")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """FastestDet in MNN's three ways to store weights."""
    folder = tmp_path_factory.mktemp("mnn")
    options = {"fp32": [], "fp16": ["--fp16"], "int8": ["--weightQuantBits", "8"]}
    return {name: convert(FASTESTDET, folder / name, *words) for name, words in options.items()}


def test_probe_runs_the_tiny_model(worker: WorkerProcess) -> None:
    found = worker.ask("probe", foreign.SECONDS)["probe"]
    assert found["available"], found["reason"]
    assert found["formats"] == ["mnn"]
    assert "fp16:" in found["details"]["device"]


def test_it_reports_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with foreign.started("mnn") as worker:
        assert worker.ask("probe", foreign.SECONDS)["probe"]["available"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stored", "least_db", "word", "words"),
    [
        ("fp32", 80, "fp32", "of the operators' time fp32"),
        ("fp16", 30, None, "weights of 70 convolutions stored as fp16"),
        ("int8", 15, "fp32", "weights of 70 convolutions stored as int8 and widened"),
    ],
)
def test_outputs_and_what_ran(
    worker: WorkerProcess,
    detectors: dict[str, Path],
    tmp_path: Path,
    stored: str,
    least_db: float,
    word: str | None,
    words: str,
) -> None:
    (spec,) = foreign.load(worker, detectors[stored], tmp_path)
    assert (spec["name"], spec["dtype"], spec["shape"]) == ("input.1", "float32", [1, 3, 352, 352])
    tensor = foreign.noise(1, 3, 352, 352)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert foreign.signal_to_noise_db(found, foreign.expected(FASTESTDET, tensor)) > least_db
    half = "fp16:1" in worker.ask("probe", foreign.SECONDS)["probe"]["details"]["device"]
    answer = worker.ask("precision", foreign.SECONDS)
    assert answer["effective_precision"] == (word or ("fp16" if half else "fp32"))
    assert words in answer["detail"] or half


def test_input_outlasts_many_inferences(
    worker: WorkerProcess, detectors: dict[str, Path], tmp_path: Path
) -> None:
    """A session of MNN's computes into its input's memory: from the second inference on it gives other numbers."""
    foreign.load(worker, detectors["fp32"], tmp_path)
    tensor = foreign.noise(1, 3, 352, 352)
    (first,) = foreign.outputs(worker, tensor, tmp_path)
    worker.ask("profile", foreign.SECONDS)
    worker.ask("burst", foreign.SECONDS, count=3)
    (last,) = foreign.outputs(worker, tensor, tmp_path)
    np.testing.assert_array_equal(first, last)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_taken_keep_to_their_cores_and_sleep(
    threads: int, detectors: dict[str, Path], tmp_path: Path
) -> None:
    tensor = foreign.noise(1, 3, 352, 352)
    assert foreign.keeps_to_its_cores("mnn", detectors["fp32"], tensor, threads, tmp_path)


def test_profile_tells_every_operator(
    worker: WorkerProcess, detectors: dict[str, Path], tmp_path: Path
) -> None:
    foreign.load(worker, detectors["fp32"], tmp_path)
    foreign.outputs(worker, foreign.noise(1, 3, 352, 352), tmp_path)
    answer = worker.ask("profile", foreign.SECONDS)
    kinds = [each["type"] for each in answer["operators"]]
    assert kinds.count("Convolution") + kinds.count("ConvolutionDepthwise") == 70
    assert all(each["seconds"] > 0 for each in answer["operators"])
    assert {each["precision"] for each in answer["operators"]} == {"fp32", "converting"}


def test_free_batch_is_one_once_converted(worker: WorkerProcess, tmp_path: Path) -> None:
    model = convert(saved(relu(["n", 3, 8, 8]), tmp_path), tmp_path / "free.mnn")
    (spec,) = foreign.load(worker, model, tmp_path)
    assert spec["shape"] == [1, 3, 8, 8]
    tensor = foreign.noise(1, 3, 8, 8) - 0.5
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    np.testing.assert_array_equal(found, np.maximum(tensor, 0))


def test_fixed_batch_is_refused_by_name(
    worker: WorkerProcess, detectors: dict[str, Path], tmp_path: Path
) -> None:
    foreign.load(worker, detectors["fp32"], tmp_path, batch=2)
    with pytest.raises(WorkerError) as raised:
        foreign.outputs(worker, foreign.noise(1, 3, 352, 352), tmp_path)
    assert raised.value.code == "batch.fixed"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model.empty"),
        (b"this is not MNN, it is words in a file, and quite a lot of them", "model.invalid"),
        (tiny.MNN[:1000], "model.invalid"),
        (tiny.ONNX, "model.invalid"),
    ],
)
def test_bad_file_is_refused_by_name(
    worker: WorkerProcess, tmp_path: Path, content: bytes, code: str
) -> None:
    foreign.refuses(worker, content, tmp_path, code)


def test_stored_weights_are_read_from_the_file(detectors: dict[str, Path]) -> None:
    for stored, path in detectors.items():
        found = mnn_file.stored_weights(path.read_bytes())
        assert set(found.values()) == {stored}
        assert len(found) == 70
        assert "input.4" in found


def test_quantized_convolutions_count_as_int8() -> None:
    from edgedyno.agent.runtimes.base import OperatorProfile, OperatorTime

    profile = OperatorProfile(
        [OperatorTime("a", "Convolution", "int8", 3.0), OperatorTime("r", "Raster", "converting", 1.0)], 1, ""
    )
    word, detail = describe(profile, {"a": mnn_file.INTEGER}, "fp16:0")
    assert word == "int8"
    assert detail == "75 % of the operators' time int8; 25 % moving and converting; MNN finds fp16:0"
