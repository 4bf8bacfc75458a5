"""ONNX Runtime's other execution providers, each as a runtime of its own.

ONNX Runtime leaves to the CPU whatever a provider does not take, all of it if need be, without a word. So each
is there only where a tiny model really ran on it, and a model of which nothing runs on it is an error.
"""

import tempfile
from typing import Any, Callable, Dict, List, Tuple

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, Probe
from edgedyno.agent.runtimes.onnx_file import read_numbers
from edgedyno.agent.runtimes.onnxruntime import OnnxRuntime
from edgedyno.agent.runtimes.onnxruntime_profile import describe, provider_shares

_CPU = "CPUExecutionProvider"
_CUDA_CAN_DO_WITHOUT_TF32 = (1, 18)


class OnnxRuntimeProvider(OnnxRuntime):
    """One provider, with the CPU for what it leaves over."""

    device = "cpu"
    """Where inputs are bound and outputs stay: in the provider's own memory, as it would be used."""
    hides_time = False
    """Whether it works on while ONNX Runtime's clock has stopped: kernel times are those of starting it."""

    def probe(self) -> Probe:
        """Run a matrix product and see by the profile that the provider ran it."""
        try:
            import numpy as np
            import onnxruntime
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = onnxruntime.__version__
        listed = onnxruntime.get_available_providers()
        details = {"providers": ",".join(listed), "numpy": np.__version__}
        if self.provider not in listed:
            reason = "this build of onnxruntime has no %s, only %s" % (self.provider, ", ".join(listed))
            return Probe(available=False, version=version, reason=reason, details=details)
        try:
            reason = self._try_tiny(np.array(tiny.INPUT, np.float32))
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            reason = "a tiny model does not run: %s" % error
        if reason:
            return Probe(available=False, version=version, reason=reason, details=details)
        return Probe(available=True, version=version, formats=("onnx",), details=details)

    def _try_tiny(self, array: Any) -> str:
        """Say what is wrong with the provider; nothing when it ran the tiny model."""
        found: List[Any] = []
        with tempfile.TemporaryDirectory(prefix="edgedyno-probe-") as scratch:
            options = LoadOptions("", 1, 1, scratch)
            session = self.make_session(tiny.ONNX, options, None)
            found.extend(session.run(None, {"x": array})[0].tolist())
            events, _ = self.profiled(tiny.ONNX, options, {"x": array}, lambda run: run())
        shares = provider_shares(events)
        if _short(self.provider) not in shares:
            return "a tiny model ran on %s instead" % " and ".join(shares)
        return tiny.complain(found) or ""

    def make_session(self, model: Any, options: LoadOptions, profile_prefix: Any) -> Any:
        """Make a session and see that the provider is in it."""
        if isinstance(model, str):
            self._numbers = read_numbers(model)
        session = super().make_session(model, options, profile_prefix)
        if self.provider not in session.get_providers():
            text = "%s did not start; ONNX Runtime took %s" % (
                self.provider,
                ", ".join(session.get_providers()),
            )
            raise InferenceError("provider.refused", text)
        return session

    def load(self, options: LoadOptions) -> None:
        """Make a session; raises InferenceError (provider.unused) where the provider takes nothing of the model."""
        super().load(options)
        assigned = _assigned(self._session)
        if assigned and self.provider not in assigned:
            raise _unused(self.provider, sum(assigned.values()))

    def configure(self, settings: Any, options: LoadOptions) -> None:
        """Have it written down which provider gets which node, where this version can."""
        super().configure(settings, options)
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")

    def providers(self, options: LoadOptions) -> List[Any]:
        """Return this one before the CPU."""
        return [(self.provider, self.provider_options(options)), _CPU]

    def provider_options(self, options: LoadOptions) -> Dict[str, str]:
        """Return what the provider is told."""
        del options
        return {}

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Bind inputs and outputs in the device's memory; copying there and back is in nobody's time."""
        if self.device == "cpu":
            return super().bind(arrays)
        import onnxruntime

        names = [node.name for node in self._session.get_inputs()]
        self._feeds = dict(zip(names, arrays))
        self._binding = self._session.io_binding()
        for name, array in self._feeds.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(array, self.device, 0)
            self._binding.bind_ortvalue_input(name, value)
        for node in self._session.get_outputs():
            self._binding.bind_output(node.name, self.device, 0)
        return self._binding.copy_outputs_to_cpu  # type: ignore[no-any-return]

    def invoke(self) -> None:
        """Run once and wait until the device is done."""
        self._session.run_with_iobinding(self._binding)
        if self.device != "cpu":
            self._binding.synchronize_outputs()

    def effective_precision(self) -> Tuple[str, str]:
        """Tell the arithmetic and the providers' shares.

        Raises InferenceError: provider.unused where all of it ran elsewhere, precision.hidden where most of it
        ran in parts that the provider compiled, of which ONNX Runtime's profile tells nothing.
        """
        word, detail, shares = self._account()
        if _short(self.provider) not in shares:
            raise _unused(self.provider, None)
        clock = "time of starting kernels" if self.hides_time else "kernel time"
        where = ", ".join(
            "%.0f %% of %s on %s" % (share * 100, clock, name) for name, share in shares.items()
        )
        if word == "unknown":
            text = "%s compiles its part of the graph and does not tell what it computes with; %s"
            raise InferenceError("precision.hidden", text % (_short(self.provider), where))
        return word, "%s; %s" % (where, detail)

    def _account(self) -> Tuple[str, str, Dict[str, float]]:
        events = self.short_profile()
        return (*describe(events), provider_shares(events))


class Cuda(OnnxRuntimeProvider):
    """NVIDIA GPUs through cuDNN."""

    provider = "CUDAExecutionProvider"
    device = "cuda"
    hides_time = True

    def provider_options(self, options: LoadOptions) -> Dict[str, str]:
        """Take the first GPU, and FP32 as FP32: TF32, its default, rounds the operands to 10 bits."""
        del options
        import onnxruntime

        version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
        extra = {"use_tf32": "0"} if version >= _CUDA_CAN_DO_WITHOUT_TF32 else {}
        return dict(extra, device_id="0")


class TensorRt(Cuda):
    """NVIDIA GPUs through TensorRT, and CUDA for what TensorRT leaves over."""

    provider = "TensorrtExecutionProvider"

    def providers(self, options: LoadOptions) -> List[Any]:
        """Let CUDA take what TensorRT does not."""
        cuda = ("CUDAExecutionProvider", super().provider_options(options))
        return [(self.provider, self.provider_options(options)), cuda, _CPU]

    def provider_options(self, options: LoadOptions) -> Dict[str, str]:
        """Allow the precisions that the file asks for, and keep engines that were built."""
        numbers = getattr(self, "_numbers", None)
        return {
            "device_id": "0",
            "trt_fp16_enable": str(int(bool(numbers and numbers.half))),
            "trt_int8_enable": str(int(bool(numbers and numbers.quantized))),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": options.scratch,
        }


class Cann(OnnxRuntimeProvider):
    """Huawei Ascend."""

    provider = "CANNExecutionProvider"
    device = "cann"
    hides_time = True

    def provider_options(self, options: LoadOptions) -> Dict[str, str]:
        """Take the first device and keep to the file's types: by default it computes FP32 in FP16."""
        del options
        return {"device_id": "0", "precision_mode": "must_keep_origin_dtype"}


class Xnnpack(OnnxRuntimeProvider):
    """XNNPACK on the CPU, with threads of its own."""

    provider = "XnnpackExecutionProvider"

    def configure(self, settings: Any, options: LoadOptions) -> None:
        """Leave the threads to XNNPACK, as its documentation asks: two pools would be in each other's way."""
        super().configure(settings, options._replace(threads=1))
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")

    def provider_options(self, options: LoadOptions) -> Dict[str, str]:
        """Give it the trial's threads."""
        return {"intra_op_num_threads": str(options.threads)}


class Acl(OnnxRuntimeProvider):
    """Arm Compute Library on the CPU."""

    provider = "ACLExecutionProvider"


def _short(provider: str) -> str:
    return provider.replace("ExecutionProvider", "")


def _assigned(session: Any) -> Dict[str, int]:
    """Return how many nodes each provider got; nothing where this version does not tell (before 1.24)."""
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:
        return {}
    counts: Dict[str, int] = {}
    for part in ask():
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    return counts


def _unused(provider: str, nodes: Any) -> InferenceError:
    text = "%s took nothing of this model: %s ran elsewhere" % (
        _short(provider),
        "everything" if nodes is None else "all of its %d nodes" % nodes,
    )
    return InferenceError("provider.unused", text)
