"""The TVM plugin on small models, for compiling takes seconds: outputs, threads, precision, profile, failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.agent.runtimes import tiny, tvm_target
from edgedyno.agent.runtimes.tvm_profile import Instrument
from edgedyno.agent.worker.process import WorkerError
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign
from tests.agent.runtimes.test_onnxruntime import convolutions
from tests.agent.runtimes.test_openvino import relu, saved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.worker.process import WorkerProcess

FASTESTDET = SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx"


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    """One worker, loaded again and again: importing TVM takes seconds."""
    with foreign.started("tvm") as process:
        yield process


def test_probe_compiles_and_runs_the_tiny_model(worker: WorkerProcess) -> None:
    found = worker.ask("probe", foreign.SECONDS)["probe"]
    assert found["available"], found["reason"]
    assert found["formats"] == ["onnx"]
    assert found["details"]["target"]


@pytest.mark.long
def test_detector_agrees_with_onnx_runtime(worker: WorkerProcess, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, FASTESTDET, tmp_path)
    assert (spec["name"], spec["shape"]) == ("input.1", [1, 3, 352, 352])
    tensor = foreign.noise(1, 3, 352, 352)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert foreign.signal_to_noise_db(found, foreign.expected(FASTESTDET, tensor)) > 80


@pytest.mark.parametrize("quantized", [False, True])
def test_outputs_and_what_ran(worker: WorkerProcess, tmp_path: Path, quantized: bool) -> None:
    """Quantized in QDQ form it converts back and forth, and multiplies in FP32."""
    model = saved(convolutions(quantized=quantized), tmp_path)
    tensor = foreign.noise(1, 3, 64, 64)
    foreign.load(worker, model, tmp_path)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert foreign.signal_to_noise_db(found, foreign.expected(model, tensor)) > (25 if quantized else 80)
    answer = worker.ask("precision", foreign.SECONDS)
    assert answer["effective_precision"] == "fp32"
    kinds = [each["type"] for each in worker.ask("profile", foreign.SECONDS)["operators"]]
    assert ("dequantize" in kinds) == quantized
    assert "untuned code for" in answer["detail"]


def test_fp16_file_runs_as_the_target_can(worker: WorkerProcess, tmp_path: Path) -> None:
    from onnxconverter_common import float16

    model = saved(float16.convert_float_to_float16(convolutions(), keep_io_types=True), tmp_path)
    tensor = foreign.noise(1, 3, 64, 64)
    foreign.load(worker, model, tmp_path)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    assert foreign.signal_to_noise_db(found, foreign.expected(model, tensor)) > 40
    answer = worker.ask("precision", foreign.SECONDS)
    assert answer["effective_precision"] in ("fp32", "fp16")
    assert ("widened around every operation" in answer["detail"]) == (answer["effective_precision"] == "fp32")


def test_profile_tells_every_call(worker: WorkerProcess, tmp_path: Path) -> None:
    foreign.load(worker, saved(convolutions(), tmp_path), tmp_path)
    foreign.outputs(worker, foreign.noise(1, 3, 64, 64), tmp_path)
    answer = worker.ask("profile", foreign.SECONDS)
    kinds = [each["type"] for each in answer["operators"]]
    assert kinds.count("conv2d") == 2
    assert all(each["seconds"] >= 0 for each in answer["operators"])
    assert "an instrument around each call" in answer["source"]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_taken_keep_to_their_cores_and_sleep(threads: int, tmp_path: Path) -> None:
    model = saved(convolutions(), tmp_path)
    assert foreign.keeps_to_its_cores("tvm", model, foreign.noise(1, 3, 64, 64), threads, tmp_path)


def test_other_number_of_threads_in_one_worker_is_refused(worker: WorkerProcess, tmp_path: Path) -> None:
    with pytest.raises(WorkerError) as raised:
        foreign.load(worker, saved(convolutions(), tmp_path), tmp_path, threads=2)
    assert raised.value.code == "threads.refused"


def test_free_batch_becomes_the_asked_one(worker: WorkerProcess, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, saved(relu(["n", 3, 8, 8]), tmp_path), tmp_path, batch=2)
    assert spec["shape"] == [2, 3, 8, 8]
    (found,) = foreign.outputs(worker, foreign.noise(1, 3, 8, 8) - 0.5, tmp_path)
    np.testing.assert_array_equal(found, np.maximum(foreign.noise(1, 3, 8, 8) - 0.5, 0))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model.empty"),
        (b"this is not ONNX", "model.invalid"),
        (convolutions().SerializeToString()[:3000], "model.invalid"),
        (tiny.TFLITE, "model.invalid"),
    ],
)
def test_bad_file_is_refused_by_name(
    worker: WorkerProcess, tmp_path: Path, content: bytes, code: str
) -> None:
    foreign.refuses(worker, content, tmp_path, code)


def test_unknown_operator_is_refused_by_name(worker: WorkerProcess, tmp_path: Path) -> None:
    model = relu([1])
    model.graph.node[0].op_type = "Frobnicate"
    foreign.refuses(worker, model.SerializeToString(), tmp_path, "model.operator", "Frobnicate")


def test_what_the_kernel_hides_is_switched_off() -> None:
    """LLVM goes by the processor's model, and a virtual machine may have less."""
    found = tvm_target.missing_features("processor : 0\nflags\t\t: fpu avx avx2 fma sse4_2\n")
    assert "-avx512f" in found
    assert "-avx2" not in found
    assert "-dotprod" in tvm_target.missing_features("Features\t: fp asimd asimdhp\n")
    assert "-fullfp16" not in tvm_target.missing_features("Features\t: fp asimd asimdhp\n")
    assert tvm_target.missing_features("no such line\n") == []


def test_calls_are_told_apart_and_by_their_tensors() -> None:
    class Tensor:
        def __init__(self, dtype: str) -> None:
            self.dtype = dtype

    instrument = Instrument(half=False)
    calls = [
        ("conv2d7", "float16"),
        ("conv2d7", "int8"),
        ("dequantize2", "int8"),
        ("vm.builtin.reshape", "float32"),
    ]
    for name, dtype in calls:
        instrument(None, name, True, None, Tensor(dtype))
        assert instrument(None, name, False, None, Tensor(dtype)) == 0
    assert [event[:3] for event in instrument.events] == [
        ("conv2d7 #1", "conv2d", "fp32"),
        ("conv2d7 #2", "conv2d", "int8"),
        ("dequantize2 #1", "dequantize", "converting"),
        ("vm.builtin.reshape", "the machine's own", "other"),
    ]
