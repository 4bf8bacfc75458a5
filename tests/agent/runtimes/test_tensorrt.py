"""TensorRT on a scripted stand-in (there is no NVIDIA GPU here), and what is said where it is not."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnxconverter_common import float16

from edgedyno.agent.runtimes import cuda, tensorrt, tensorrt_profile
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions
from tests.agent.runtimes import scripted_tensorrt
from tests.agent.runtimes.test_onnxruntime import convolutions

if TYPE_CHECKING:
    from pathlib import Path


def install(monkeypatch: pytest.MonkeyPatch, **script: Any) -> Any:
    module = scripted_tensorrt.build(**script)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(tensorrt, "Cuda", scripted_tensorrt.Memory)
    monkeypatch.setattr(tensorrt, "device_name", lambda: "Scripted GPU")
    return module


def options(folder: Path, data: bytes | None = None, *, batch: int = 1) -> LoadOptions:
    path = folder / "model"
    path.write_bytes(convolutions().SerializeToString() if data is None else data)
    return LoadOptions(str(path), 1, batch, str(folder))


def loaded(folder: Path, data: bytes | None = None) -> tensorrt.TensorRt:
    runtime = tensorrt.TensorRt()
    runtime.load(options(folder, data))
    return runtime


def refusal(folder: Path, data: bytes | None = None) -> InferenceError:
    with pytest.raises(InferenceError) as raised:
        loaded(folder, data)
    return raised.value


def test_here_it_is_not_there_and_says_where_it_would_be() -> None:
    found = tensorrt.TensorRt().probe()
    assert not found.available
    assert "cannot be imported" in (found.reason or "")
    assert "a Jetson has it in the system's Python" in (found.reason or "")


def test_without_cuda_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real CUDA library where there is one (packages bring it), which finds no driver here."""
    monkeypatch.setitem(sys.modules, "tensorrt", scripted_tensorrt.build())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = tensorrt.TensorRt().probe()
    assert (found.available, found.version) == (False, "10.7.0")
    assert "CUDA" in (found.reason or "")
    monkeypatch.setattr(cuda, "_NAMES", ("libnothing.so",))
    monkeypatch.setattr(cuda, "_installed", list)
    reason = tensorrt.TensorRt().probe().reason or ""
    assert "the CUDA runtime library cannot be opened: libnothing.so" in reason


def test_scripted_version_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, version="8.2.1.8")
    assert tensorrt.TensorRt().probe().reason == "found version 8.2.1.8, expected 8.5 or newer"


def test_scripted_probe_checks_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in doubles its input: not what the tiny model gives."""
    install(monkeypatch)
    assert tensorrt.TensorRt().probe().reason == "a tiny model gives [[2.0, 4.0]], expected [[2.0, 3.0]]"


def test_scripted_inference_stays_in_the_gpus_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    runtime = loaded(tmp_path)
    (spec,) = runtime.inputs()
    assert (spec.name, spec.dtype, spec.shape) == ("x", "float32", (1, 2))
    read = runtime.bind([np.array([[1.0, 2.0]], np.float32)])
    runtime.invoke()
    first = read()[0]
    runtime.bind([np.array([[3.0, 4.0]], np.float32)])
    runtime.invoke()
    assert (first.tolist(), read()[0].tolist()) == ([[2.0, 4.0]], [[6.0, 8.0]])
    runtime.close()
    assert scripted_tensorrt.Memory.arrays == {}


def test_scripted_refusal_to_run_is_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, refuses=True)
    runtime = loaded(tmp_path)
    runtime.bind([np.array([[1.0, 2.0]], np.float32)])
    with pytest.raises(InferenceError, match="refused to run"):
        runtime.invoke()


@pytest.mark.parametrize(
    ("version", "network_flags", "half", "quantized"),
    [
        ("8.5.2", 1, {0}, {1}),
        ("8.6.1", 1, {0}, {1}),
        ("10.7.0", 2, set(), set()),
        ("11.4.0", 0, set(), set()),
    ],
)
def test_scripted_versions_are_asked_for_the_files_precision(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    network_flags: int,
    half: set[int],
    quantized: set[int],
) -> None:
    files = {
        "single": (convolutions(), set()),
        "half": (float16.convert_float_to_float16(convolutions(), keep_io_types=True), half),
        "quantized": (convolutions(quantized=True), quantized),
    }
    for model, flags in files.values():
        trt = install(monkeypatch, version=version)
        loaded(tmp_path, model.SerializeToString())
        assert trt.asked.network_flags == network_flags
        assert trt.asked.flags == flags
        assert trt.asked.cleared == {9}, "TF32 was left on"


def test_scripted_engine_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = install(monkeypatch)
    loaded(tmp_path)
    loaded(tmp_path)
    assert trt.asked.built == 1
    monkeypatch.setattr(tensorrt, "device_name", lambda: "Another GPU")
    loaded(tmp_path)
    assert trt.asked.built == 2
    for engine in tmp_path.glob("*.engine"):
        engine.write_bytes(b"of another version")  # cannot be loaded: built again
    loaded(tmp_path)
    assert trt.asked.built == 3


def test_scripted_free_batch_becomes_the_asked_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = install(monkeypatch, shape=(-1, 3, 64, 64))
    tensorrt.TensorRt().load(options(tmp_path, batch=4))
    assert trt.asked.tensor.shape == [4, 3, 64, 64]
    install(monkeypatch, shape=(1, 3, -1, -1))
    assert refusal(tmp_path, convolutions(opset=14).SerializeToString()).code == "model.shape"


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ({"errors": ["Failed to parse ONNX model from file"]}, "model.invalid", "Failed to parse"),
        ({"errors": ["No importer registered for op: Frobnicate"]}, "model.operator", "Frobnicate"),
        (
            {"errors": ["Non-zero zero point is refused"]},
            "model.quantization",
            "activations: int8, symmetric: true",
        ),
        ({"no_plan": "Cuda failure: out of memory"}, "worker.memory", "out of memory"),
        ({"no_plan": "Internal error"}, "model.load", "the engine cannot be built; Internal error"),
    ],
)
def test_scripted_failures_have_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: dict[str, Any], code: str, words: str
) -> None:
    install(monkeypatch, **script)
    error = refusal(tmp_path)
    assert error.code == code
    assert words in str(error)
    assert "nothing of note" not in str(error)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"").code == "model.empty"


def test_scripted_layers_are_told_by_time_and_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    runtime = loaded(tmp_path)
    runtime.bind([np.array([[1.0, 2.0]], np.float32)])
    word, detail = runtime.effective_precision()
    assert (word, detail) == (
        "fp16",
        "60 % of GPU time fp16; 30 % fp32; 10 % converting (quantize, convert, reorder)",
    )
    profile = runtime.profile()
    assert [(each.name, each.type, each.precision) for each in profile.operators] == [
        ("conv", "CaskConvolution", "fp16"),
        ("reformat", "Reformat", "converting"),
        ("tail", "PointWiseV2", "fp32"),
    ]
    assert profile.operators[0].seconds == pytest.approx(0.6e-3)


def test_tf32_shows_in_the_name_of_the_kernel() -> None:
    layer = {
        "Name": "a",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Format/Datatype": "Row major linear FP32"}],
        "TacticName": "sm80_xmma_fprop_tf32f32",
    }
    text = __import__("json").dumps({"Layers": [layer, "only a name"]})
    found = tensorrt_profile.read_layers(text)
    assert found == {"a": ("CaskConvolution", "tf32"), "only a name": ("unknown", "unknown")}
    assert tensorrt_profile.describe([])[0] == "unknown"


class Library:
    """A scripted CUDA runtime library: host memory stands in for the GPU's."""

    def __init__(self, *, gpus: int = 1) -> None:
        self.gpus = gpus
        self.freed = 0
        self.buffers: list[Any] = []
        self.cudaGetErrorString = self._words

    def _words(self, _: int) -> bytes:
        return b"no CUDA-capable device is detected"

    def cudaGetDeviceCount(self, count: Any) -> int:  # noqa: N802 - CUDA's names
        count._obj.value = self.gpus
        return 0 if self.gpus >= 0 else 100

    def cudaStreamCreate(self, stream: Any) -> int:  # noqa: N802
        stream._obj.value = 77
        return 0

    def cudaMalloc(self, pointer: Any, size: Any) -> int:  # noqa: N802
        self.buffers.append(ctypes.create_string_buffer(size.value))
        pointer._obj.value = ctypes.addressof(self.buffers[-1])
        return 0

    def cudaMemcpy(self, target: Any, source: Any, size: Any, kind: int) -> int:  # noqa: N802
        assert kind in (1, 2)
        ctypes.memmove(target, source, size.value)
        return 0

    def cudaStreamSynchronize(self, stream: Any) -> int:  # noqa: N802
        return 0 if stream.value == 77 else 400

    def cudaFree(self, _: Any) -> int:  # noqa: N802
        self.freed += 1
        return 0


def test_scripted_library_gets_memory_copies_and_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(cuda, "_open_library", lambda: library)
    device = cuda.Cuda()
    assert device.stream == 77
    sent = np.arange(6, dtype=np.float32).reshape(2, 3)
    address = device.allocate(sent.nbytes)
    device.to_device(address, sent)
    back = np.empty_like(sent)
    device.to_host(back, address)
    device.synchronize()
    np.testing.assert_array_equal(back, sent)
    device.free()
    assert library.freed == 1


@pytest.mark.parametrize(("gpus", "words"), [(0, "finds no GPU"), (-1, "no CUDA-capable device is detected")])
def test_scripted_library_without_a_gpu(monkeypatch: pytest.MonkeyPatch, gpus: int, words: str) -> None:
    monkeypatch.setattr(cuda, "_open_library", lambda: Library(gpus=gpus))
    with pytest.raises(cuda.CudaError, match=words):
        cuda.Cuda()


def test_here_the_driver_has_no_name() -> None:
    assert cuda.device_name() == ""
