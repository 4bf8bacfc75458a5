"""The OpenVINO plugin on real models, in its own environment: outputs, threads, cores, precision, failures."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgedyno.agent.runtimes.openvino_profile import Kernel, describe, operators
from edgedyno.agent.worker.process import WorkerError
from tests.agent.measure.requests import SAMPLES
from tests.agent.runtimes import foreign
from tests.agent.runtimes.test_onnxruntime import convolutions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.worker.process import WorkerProcess

FASTESTDET = SAMPLES / "models/fastestdet/FastestDet_352_fp32.onnx"


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    """One worker, loaded again and again: starting one costs a second."""
    with foreign.started("openvino") as process:
        yield process


def noise(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model"  # artifacts have no suffix
    path.write_bytes(model.SerializeToString())
    return path


def relu(shape: list[str | int]) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def test_probe_runs_the_tiny_model(worker: WorkerProcess) -> None:
    found = worker.ask("probe", foreign.SECONDS)["probe"]
    assert found["available"], found["reason"]
    assert found["version"].count(".") == 2
    assert "FP32" in found["details"]["capabilities"]


def test_it_reports_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it reports it writes an id below the home folder."""
    for name in ("CI", "TF_BUILD", "JENKINS_URL"):  # these would silence it anyway
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with foreign.started("openvino") as worker:
        assert worker.ask("probe", foreign.SECONDS)["probe"]["available"]
    assert list(tmp_path.iterdir()) == []


def test_outputs_agree_with_onnx_runtime(worker: WorkerProcess, tmp_path: Path) -> None:
    import onnxruntime

    foreign.load(worker, FASTESTDET, tmp_path)
    tensor = noise(1, 3, 352, 352)
    (found,) = foreign.outputs(worker, tensor, tmp_path)
    session = onnxruntime.InferenceSession(str(FASTESTDET), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(found, session.run(None, {"input.1": tensor})[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_taken_and_keep_to_their_cores(threads: int, tmp_path: Path) -> None:
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    with foreign.started("openvino", cpus) as worker:
        foreign.load(worker, FASTESTDET, tmp_path, threads=threads)
        foreign.outputs(worker, noise(1, 3, 352, 352), tmp_path)
        answer = worker.ask("burst", foreign.SECONDS, count=5)
        assert len(answer["latency_ns"]) == 5
        assert worker.ask("check", foreign.SECONDS)["strayed_threads"] == 0


def test_more_threads_than_cores_are_refused(tmp_path: Path) -> None:
    with foreign.started("openvino", [min(os.sched_getaffinity(0))]) as worker:
        with pytest.raises(WorkerError, match=r"takes 1 threads here, expected 2") as raised:
            foreign.load(worker, FASTESTDET, tmp_path, threads=2)
        assert raised.value.code == "threads.refused"


def test_waiting_costs_no_processor_time(tmp_path: Path) -> None:
    """A runtime that spins while it waits would take its neighbours' cores."""
    with foreign.started("openvino") as worker:
        foreign.load(worker, FASTESTDET, tmp_path, threads=2)
        foreign.outputs(worker, noise(1, 3, 352, 352), tmp_path)
        worker.ask("burst", foreign.SECONDS, count=5)
        before = used_seconds(worker.pid)
        time.sleep(0.5)
        assert used_seconds(worker.pid) - before <= 0.05


def used_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def precision(worker: WorkerProcess, model: onnx.ModelProto, tensor: Any, folder: Path) -> tuple[str, str]:
    foreign.load(worker, saved(model, folder), folder)
    foreign.outputs(worker, tensor, folder)
    answer = worker.ask("precision", foreign.SECONDS)
    return answer["effective_precision"], answer["detail"]


@pytest.mark.parametrize(("quantized", "word"), [(False, "fp32"), (True, "int8")])
def test_effective_precision_is_what_ran(
    worker: WorkerProcess, tmp_path: Path, quantized: bool, word: str
) -> None:
    found, detail = precision(worker, convolutions(quantized=quantized), noise(1, 3, 64, 64), tmp_path)
    assert found == word
    assert "% of kernel time" in detail


def test_profile_tells_what_each_operator_takes(worker: WorkerProcess, tmp_path: Path) -> None:
    foreign.load(worker, saved(convolutions(quantized=True), tmp_path), tmp_path)
    foreign.outputs(worker, noise(1, 3, 64, 64), tmp_path)
    answer = worker.ask("profile", foreign.SECONDS)
    assert answer["source"] == "OpenVINO's performance counters"
    assert answer["inferences"] >= 3
    convolving = [each for each in answer["operators"] if each["type"] == "Convolution"]
    assert [each["precision"] for each in convolving] == ["int8", "int8"]
    assert all(each["seconds"] > 0 for each in answer["operators"])


def test_operators_are_means_in_the_order_they_ran() -> None:
    kernels = [
        Kernel("conv", "Convolution", "brgconv_avx2_f32", 2e-3),
        Kernel("folded", "Relu", "undef", 0.0),
        Kernel("out", "Reorder", "jit_uni_f32", 1e-3),
        Kernel("conv", "Convolution", "brgconv_avx2_f32", 4e-3),
        Kernel("shape", "ShapeOf", "ref_i64", 1e-6),
    ]
    found = operators(kernels, 2)
    assert [(each.name, each.precision) for each in found] == [
        ("conv", "fp32"),
        ("out", "converting"),
        ("shape", "other"),
    ]
    assert found[0].seconds == pytest.approx(3e-3)


def test_fp16_file_runs_in_fp16_only_where_the_processor_can(worker: WorkerProcess, tmp_path: Path) -> None:
    from onnxconverter_common import float16

    half = float16.convert_float_to_float16(convolutions(), keep_io_types=True)
    capabilities = worker.ask("probe", foreign.SECONDS)["probe"]["details"]["capabilities"].split(",")
    found, _ = precision(worker, half, noise(1, 3, 64, 64), tmp_path)
    assert found == ("fp16" if "FP16" in capabilities else "fp32")


def test_kernels_are_told_by_their_arithmetic() -> None:
    kernels = [
        ("Convolution", "brgconv_avx512_amx_I8", 6.0),
        ("Convolution", "brgconv_avx512_bf16", 1.0),
        ("Reorder", "jit_uni_I8", 2.0),
        ("Subgraph", "jit_avx512_f32", 1.0),
        ("Relu", "undef", 0.0),
    ]
    word, detail = describe(kernels)
    assert word == "int8"
    assert detail.startswith("60 % of kernel time int8; 20 % converting")
    assert describe([("Relu", "undef", 0.0)])[0] == "unknown"
    assert describe([("Add", "jit_f32", 1.0), ("Add", "jit_f16", 1.0)])[0] == "mixed"


def test_free_batch_becomes_the_asked_one(worker: WorkerProcess, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, saved(relu(["n", 3, 8, 8]), tmp_path), tmp_path, batch=2)
    assert spec["shape"] == [2, 3, 8, 8]
    (found,) = foreign.outputs(worker, noise(1, 3, 8, 8) - 0.5, tmp_path)
    np.testing.assert_array_equal(found, np.maximum(noise(1, 3, 8, 8) - 0.5, 0))


def test_free_size_stays_free(worker: WorkerProcess, tmp_path: Path) -> None:
    (spec,) = foreign.load(worker, saved(relu([1, 3, "h", "w"]), tmp_path), tmp_path)
    assert spec["shape"] == [1, 3, None, None]
    assert foreign.outputs(worker, noise(1, 3, 5, 7), tmp_path)[0].shape == (1, 3, 5, 7)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "model.empty"),
        (b"this is not ONNX", "model.invalid"),
        (convolutions().SerializeToString()[:3000], "model.invalid"),
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


def test_other_input_size_is_refused_by_name(worker: WorkerProcess, tmp_path: Path) -> None:
    foreign.load(worker, FASTESTDET, tmp_path)
    with pytest.raises(WorkerError, match="found a prepared input of shape") as raised:
        foreign.outputs(worker, noise(1, 3, 64, 64), tmp_path)
    assert raised.value.code == "input.shape"
