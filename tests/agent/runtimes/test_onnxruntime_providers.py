"""Execution providers: the real ones of this build, and scripted stand-ins for builds that are not here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnxconverter_common import float16

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.runtimes import onnxruntime_providers as providers
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions
from edgedyno.agent.runtimes.onnx_file import Numbers, read_numbers
from tests.agent.measure.requests import FASTESTDET
from tests.agent.runtimes import scripted_onnxruntime
from tests.agent.runtimes.test_onnxruntime import convolutions

if TYPE_CHECKING:
    from pathlib import Path

EVERY = [providers.Cuda, providers.TensorRt, providers.Cann, providers.Xnnpack, providers.Acl]


class Azure(providers.OnnxRuntimeProvider):
    """In every build, and takes no operator of a model: what falls back entirely."""

    provider = "AzureExecutionProvider"


class Cpu(providers.OnnxRuntimeProvider):
    """In every build, and takes all."""

    provider = "CPUExecutionProvider"

    def providers(self, options: LoadOptions) -> list[Any]:
        return [self.provider]


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")


@pytest.fixture
def model(tmp_path: Path) -> LoadOptions:
    path = tmp_path / "model.onnx"
    path.write_bytes(convolutions().SerializeToString())
    return LoadOptions(str(path), 2, 1, str(tmp_path))


def noise() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)


def test_each_is_a_runtime_by_name() -> None:
    names = {plugin.name for plugin in find_plugins()}
    assert {f"onnxruntime-{name}" for name in ("cuda", "tensorrt", "cann", "xnnpack", "acl")} <= names


@pytest.mark.parametrize("kind", EVERY)
def test_provider_that_the_build_lacks_says_so(kind: type[providers.OnnxRuntimeProvider]) -> None:
    import onnxruntime

    if kind.provider in onnxruntime.get_available_providers():
        pytest.skip(f"this build has {kind.provider}")
    found = kind().probe()
    assert not found.available
    assert f"no {kind.provider}" in (found.reason or "")
    assert "CPUExecutionProvider" in (found.details or {})["providers"]


def test_provider_that_leaves_all_to_the_cpu_is_not_there() -> None:
    found = Azure().probe()
    assert (found.available, found.reason) == (False, "a tiny model ran on CPU instead")


def test_model_that_falls_back_entirely_is_refused(model: LoadOptions) -> None:
    with pytest.raises(
        InferenceError, match=r"Azure took nothing of this model: all of its \d+ nodes"
    ) as raised:
        Azure().load(model)
    assert raised.value.code == "provider.unused"


def test_version_that_tells_no_assignment_is_seen_through_by_its_profile(
    model: LoadOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "_assigned", lambda _: {})
    runtime = Azure()
    runtime.load(model)
    runtime.bind([noise()])
    with pytest.raises(InferenceError) as raised:
        runtime.effective_precision()
    assert raised.value.code == "provider.unused"


def test_share_of_the_provider_is_told(model: LoadOptions) -> None:
    runtime = Cpu()
    assert runtime.probe().available
    runtime.load(model)
    read = runtime.bind([noise()])
    runtime.invoke()
    assert read()[0].shape == (1, 16, 64, 64)
    word, detail = runtime.effective_precision()
    assert word == "fp32"
    assert detail.startswith("100 % of kernel time on CPU; ")
    assert runtime.profile().operators


def options_of(module: Any) -> tuple[dict[str, str], dict[str, str], Any]:
    """Return the first provider's options, the session's entries and its settings."""
    session = module.sessions[-1]
    return session.asked[0][1], session.settings.entries, session.settings


@pytest.mark.parametrize("kind", EVERY)
def test_scripted_provider_is_there_when_it_ran(
    kind: type[providers.OnnxRuntimeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", scripted_onnxruntime.build(kind.provider))
    found = kind().probe()
    assert found.available, found.reason


def test_scripted_provider_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    module = scripted_onnxruntime.build("CUDAExecutionProvider", starts=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    assert "CUDAExecutionProvider did not start" in (providers.Cuda().probe().reason or "")


def test_scripted_xnnpack_gets_the_threads(model: LoadOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    module = scripted_onnxruntime.build("XnnpackExecutionProvider")
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    providers.Xnnpack().load(model)
    options, entries, settings = options_of(module)
    assert options == {"intra_op_num_threads": "2"}
    assert settings.intra_op_num_threads == 1
    assert entries["session.intra_op.allow_spinning"] == "0"


@pytest.mark.parametrize(("version", "tf32"), [("1.31.1", "0"), ("1.17.3", None)])
def test_scripted_cuda_keeps_inputs_and_outputs_on_the_device(
    model: LoadOptions, monkeypatch: pytest.MonkeyPatch, version: str, tf32: str | None
) -> None:
    module = scripted_onnxruntime.build("CUDAExecutionProvider", version=version)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    runtime = providers.Cuda()
    runtime.load(model)
    runtime.bind([noise()])
    runtime.invoke()
    binding = module.sessions[-1].binding
    assert (binding.inputs, binding.outputs) == ([("x", "cuda")], [("y", "cuda")])
    assert binding.synchronized == 1
    assert options_of(module)[0].get("use_tf32") == tf32


def test_scripted_tensorrt_hides_its_precision(model: LoadOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = [("TensorrtExecutionProvider", "TRTKernel_graph_main_0"), ("CPUExecutionProvider", "Relu")]
    module = scripted_onnxruntime.build("TensorrtExecutionProvider", kernels=[*kernels, kernels[0]])
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    runtime = providers.TensorRt()
    runtime.load(model)
    runtime.bind([noise()])
    with pytest.raises(InferenceError, match="67 % of time of starting kernels on Tensorrt") as raised:
        runtime.effective_precision()
    assert raised.value.code == "precision.hidden"
    options, _, _ = options_of(module)
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == ("0", "0")


def test_numbers_of_a_file_are_read_without_its_package(tmp_path: Path) -> None:
    def read(data: bytes) -> Numbers:
        (tmp_path / "m").write_bytes(data)
        return read_numbers(str(tmp_path / "m"))

    half = float16.convert_float_to_float16(convolutions(), keep_io_types=True)
    assert read(convolutions().SerializeToString()) == (False, False)
    assert read(half.SerializeToString()) == (True, False)
    assert read(convolutions(quantized=True).SerializeToString()) == (False, True)
    assert read(FASTESTDET.read_bytes()) == (False, False)
    assert read(b"this is not ONNX at all") == (False, False)
    assert read(half.SerializeToString()[:500]) == (False, False)
