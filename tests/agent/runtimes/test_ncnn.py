"""The ncnn plugin on real models, in its own environment: outputs, threads, precision, profile, failures."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.agent.runtimes import ncnn_param, tiny
from edgedyno.agent.runtimes.base import InferenceError
from edgedyno.agent.runtimes.ncnn_param import Layer
from edgedyno.agent.runtimes.ncnn_profile import Arithmetic, layer_precision
from edgedyno.agent.worker.process import WorkerError
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.worker.process import WorkerProcess

FASTESTDET = SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx"
PARAM = "7767517\n2 2\nInput x 0 1 x 0=2\nInnerProduct y 1 1 x y 0=2 1=0 2=4 9=1\n"
WEIGHTS = struct.pack("<I4f", 0, 1.0, 0.5, -1.0, 2.0)
# The same product in INT8: weights times 64 and 32, then these scales, then the input's.
INT8_PARAM = PARAM.replace("9=1", "8=1 9=1")
INT8_WEIGHTS = struct.pack("<I4b3f", 0x000D4B38, 64, 32, -32, 64, 64.0, 32.0, 32.0)
HALF_WEIGHTS = struct.pack("<I4e", 0x01306B47, 1.0, 0.5, -1.0, 2.0)


def bundle(folder: Path, param: str | bytes, weights: bytes | None) -> Path:
    path = folder / "bundle"  # artifacts have no suffix
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.param", param)
        if weights is not None:
            file.writestr("model.bin", weights)
    return path


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    """One worker, loaded again and again."""
    with foreign.started("ncnn") as process:
        yield process


@pytest.fixture
def detector(zoo: Path, tmp_path: Path) -> Path:
    stem = zoo / "models/fastestdet/ncnn/FastestDet"
    return bundle(tmp_path, stem.with_suffix(".param").read_text(), stem.with_suffix(".bin").read_bytes())


def test_probe_runs_the_tiny_model(worker: WorkerProcess) -> None:
    found = worker.ask("probe", foreign.SECONDS)["probe"]
    assert found["available"], found["reason"]
    assert found["formats"] == ["ncnn"]
    assert found["version"].startswith("1.0.")


@pytest.mark.zoo
def test_outputs_agree_with_onnx_runtime(worker: WorkerProcess, detector: Path, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, detector, tmp_path)
    assert spec["shape"] == [1, None, None, None]  # its Input layer tells no size
    tensor = foreign.noise(1, 3, 352, 352)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    # The file's weights are rounded to FP16.
    assert foreign.signal_to_noise_db(found, foreign.expected(FASTESTDET, tensor)) > 35


@pytest.mark.zoo
def test_classifier_has_the_shapes_of_its_onnx(worker: WorkerProcess, zoo: Path, tmp_path: Path) -> None:
    folder = zoo / "models/squeezenet_v1.1"
    param, weights = (folder / f"ncnn/squeezenet_v1.1.{suffix}" for suffix in ("param", "bin"))
    model = bundle(tmp_path, param.read_text(), weights.read_bytes())
    (spec,) = foreign.load(worker, model, tmp_path)
    assert spec["shape"] == [1, 3, 227, 227]
    tensor = foreign.noise(1, 3, 227, 227) * 100
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    wanted = foreign.expected(folder / "squeezenet_v1.1_227_fp32.onnx", tensor)
    assert foreign.signal_to_noise_db(found, wanted.reshape(found.shape)) > 60
    assert found.shape == (1, 1000)


@pytest.mark.zoo
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_taken_keep_to_their_cores_and_sleep(
    threads: int, detector: Path, tmp_path: Path
) -> None:
    assert foreign.keeps_to_its_cores("ncnn", detector, foreign.noise(1, 3, 352, 352), threads, tmp_path)


def precision(worker: WorkerProcess, model: Path, folder: Path) -> tuple[str, str, list[list[float]]]:
    foreign.load(worker, model, folder)
    found = foreign.outputs(worker, np.array(tiny.INPUT, np.float32), folder)[0].tolist()
    answer = worker.ask("precision", foreign.SECONDS)
    return answer["effective_precision"], answer["detail"], found


def test_plain_weights_never_run_in_fp16(worker: WorkerProcess, tmp_path: Path) -> None:
    word, detail, found = precision(worker, bundle(tmp_path, PARAM, WEIGHTS), tmp_path)
    assert (word, found) == ("fp32", tiny.EXPECTED)
    assert "fp16" not in detail


def test_int8_weights_run_in_int8(worker: WorkerProcess, tmp_path: Path) -> None:
    word, detail, found = precision(worker, bundle(tmp_path, INT8_PARAM, INT8_WEIGHTS), tmp_path)
    assert (word, found) == ("int8", tiny.EXPECTED)
    assert "of the layers' time int8" in detail


def test_fp16_weights_run_in_fp16_only_where_the_processor_can(worker: WorkerProcess, tmp_path: Path) -> None:
    half = worker.ask("probe", foreign.SECONDS)["probe"]["details"]["fp16_arithmetic"] == "yes"
    word, detail, found = precision(worker, bundle(tmp_path, PARAM, HALF_WEIGHTS), tmp_path)
    assert found == tiny.EXPECTED
    assert word == ("fp16" if half else "fp32")
    assert half or "1 weights stored as fp16 and widened" in detail


@pytest.mark.parametrize(
    ("flag", "asked", "possible", "word"),
    [
        (True, True, True, "fp16"),
        (True, True, False, "fp32"),
        (True, False, True, "fp32"),
        (False, True, True, "fp32"),
    ],
)
def test_fp16_needs_the_layer_the_asking_and_the_processor(
    flag: bool, asked: bool, possible: bool, word: str
) -> None:
    layer = Layer("Convolution", "c", ("x",), ("y",), {})
    assert layer_precision(layer, Arithmetic(asked, possible, True), supports_half=flag) == word


@pytest.mark.zoo
def test_profile_tells_every_layer(worker: WorkerProcess, detector: Path, tmp_path: Path) -> None:
    foreign.load(worker, detector, tmp_path)
    foreign.outputs(worker, foreign.noise(1, 3, 352, 352), tmp_path)
    answer = worker.ask("profile", foreign.SECONDS)
    listed = answer["operators"]
    assert len(listed) == 129  # of 130; the other one is its Input
    assert (listed[0]["name"], listed[0]["type"]) == ("Conv_0", "Convolution")
    assert all(each["seconds"] > 0 for each in listed)
    assert sum(each["type"].startswith("Convolution") for each in listed) == 70
    assert "each blob extracted" in answer["source"]


@pytest.mark.zoo
def test_layer_that_ncnn_lacks_is_refused_by_name(worker: WorkerProcess, zoo: Path, tmp_path: Path) -> None:
    """Else it would load, and crash at the first inference."""
    stem = zoo / "models/yolox_nano/ncnn/yolox-nano"
    model = bundle(tmp_path, stem.with_suffix(".param").read_text(), stem.with_suffix(".bin").read_bytes())
    with pytest.raises(WorkerError, match=r"YoloV5Focus \(focus\)") as raised:
        foreign.load(worker, model, tmp_path)
    assert raised.value.code == "model.operator"
    assert not raised.value.fatal


@pytest.mark.parametrize(
    ("param", "weights", "words"),
    [
        (PARAM, None, "lacks model.bin: found model.param, expected"),
        (PARAM, WEIGHTS[:10], "load_model"),
        (PARAM, b"", "load_model"),
        (PARAM.replace("7767517", "7767518"), WEIGHTS, "found '7767518' as the param's first line"),
        (struct.pack("<3I", 7767517, 2, 2), WEIGHTS, "found a binary param"),
        (PARAM.replace("2 2\n", "3 2\n"), WEIGHTS, "found 2 layers in the param, expected 3"),
        (PARAM.replace("x y", "z y"), WEIGHTS, "layer y reads blob 'z'"),
        (PARAM.replace("InnerProduct y 1", "InnerProduct y one"), WEIGHTS, "found no layer in line 4"),
    ],
)
def test_bad_bundle_is_refused_by_what_is_wrong(
    worker: WorkerProcess, tmp_path: Path, param: str | bytes, weights: bytes | None, words: str
) -> None:
    with pytest.raises(WorkerError, match=words) as raised:
        foreign.load(worker, bundle(tmp_path, param, weights), tmp_path)
    assert raised.value.code == "model.invalid"
    assert not raised.value.fatal


@pytest.mark.parametrize(("content", "code"), [(b"", "model.empty"), (b"this is no bundle", "model.invalid")])
def test_bad_file_is_refused_by_name(
    worker: WorkerProcess, tmp_path: Path, content: bytes, code: str
) -> None:
    foreign.refuses(worker, content, tmp_path, code)


def test_one_at_a_time(worker: WorkerProcess, tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as raised:
        foreign.load(worker, bundle(tmp_path, PARAM, WEIGHTS), tmp_path, batch=2)
    assert raised.value.code == "batch.fixed"


def test_loading_leaves_no_files(worker: WorkerProcess, tmp_path: Path) -> None:
    model = bundle(tmp_path, PARAM, WEIGHTS)
    foreign.load(worker, model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [model.name]


def test_shapes_of_inputs_are_what_the_param_tells() -> None:
    text = "7767517\n3 3\nInput a 0 1 a 0=4 1=3 2=2\nInput b 0 1 b\nInput c 0 1 c 0=5 1=4 11=3 2=2\n"
    layers = ncnn_param.parse(text.encode())
    assert ncnn_param.inputs(layers) == [
        ("a", (1, 2, 3, 4)),
        ("b", (1, None, None, None)),
        ("c", (1, 2, 3, 4, 5)),
    ]
    assert ncnn_param.outputs(layers) == ["a", "b", "c"]


def test_param_of_nothing_is_refused() -> None:
    with pytest.raises(InferenceError, match="no count of layers"):
        ncnn_param.parse(b"7767517\n")


def test_tags_count_only_where_weights_begin() -> None:
    tag = struct.pack("<I", 0x01306B47)
    assert ncnn_param.count_tags(tag + b"\0\0" + tag + b"\0\0" + tag) == (2, 0)
    with io.BytesIO(tiny.NCNN) as file, zipfile.ZipFile(file) as packed:
        assert ncnn_param.count_tags(packed.read("model.bin")) == (0, 0)
