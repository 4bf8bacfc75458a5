"""ONNX Runtime on the CPU; its other execution providers are in onnxruntime_providers.py."""

import contextlib
import glob
import json
import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.failures import explain
from edgedyno.agent.runtimes.onnxruntime_profile import describe, operators
from edgedyno.agent.runtimes.operators import repeat

_PROFILE_RUNS = 5

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}

# What ONNX Runtime writes, and what it means; the first that is found counts.
_FAILURES = (
    ("unsupported model ir", "model.opset"),
    ("is under development and support for this is limited", "model.opset"),
    ("only *guarantees* support", "model.opset"),
    ("no opset import for domain", "model.opset"),
    ("invalid_protobuf", "model.invalid"),
    ("protobuf parsing failed", "model.invalid"),
    ("modelproto does not have a graph", "model.invalid"),
    ("not_implemented", "model.operator"),
    ("could not find an implementation", "model.operator"),
    ("is not a registered function/op", "model.operator"),
    ("no op registered for", "model.operator"),
    ("bad_alloc", "worker.memory"),
    ("failed to allocate memory", "worker.memory"),
)


class OnnxRuntime:
    """One inference session."""

    provider = "CPUExecutionProvider"

    def __init__(self) -> None:
        self._session: Any = None
        self._binding: Any = None
        self._feeds: Dict[str, Any] = {}
        self._options: Optional[LoadOptions] = None

    def probe(self) -> Probe:
        """Run a matrix product and check its result."""
        try:
            import numpy as np
            import onnxruntime
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = onnxruntime.__version__
        try:
            session = onnxruntime.InferenceSession(tiny.ONNX, providers=["CPUExecutionProvider"])
            found = session.run(None, {"x": np.array(tiny.INPUT, np.float32)})[0].tolist()
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        providers = ",".join(onnxruntime.get_available_providers())
        details = {"providers": providers, "numpy": np.__version__}
        return Probe(available=True, version=version, formats=("onnx",), details=details)

    def load(self, options: LoadOptions) -> None:
        """Make a session with `options.threads` threads."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected an ONNX model")
        self._options = options
        self._session = self.make_session(options.model, options, None)

    def make_session(self, model: Any, options: LoadOptions, profile_prefix: Optional[str]) -> Any:
        """Make a session of a file or of bytes; one with a profile prefix writes down what it does."""
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        settings = onnxruntime.SessionOptions()
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        self.configure(settings, options)
        if profile_prefix is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = profile_prefix
        try:
            # Without this a provider that does not start is replaced by another, with a line on stdout.
            return onnxruntime.InferenceSession(
                model, settings, providers=self.providers(options), enable_fallback=0
            )
        except Exception as error:
            raise explain(error, _FAILURES) from error

    def configure(self, settings: Any, options: LoadOptions) -> None:
        """Set the session's own threads."""
        settings.intra_op_num_threads = options.threads
        # Within a call threads spin while they wait for each other, as they do in deployment (without it two
        # threads took 18 to 42 % longer). They stop when the call ends: of several loaded sessions those that
        # wait would take the cores of the one that runs.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "1")
        settings.add_session_config_entry("session.force_spinning_stop", "1")

    def providers(self, options: LoadOptions) -> List[Any]:
        """Return the execution providers with their options, in the order of their precedence."""
        del options
        return [self.provider]

    def inputs(self) -> List[TensorSpec]:
        """Tell the session's inputs; a symbolic dimension is free."""
        return [
            TensorSpec(
                node.name,
                _DTYPES.get(node.type, node.type),
                tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape),
            )
            for node in self._session.get_inputs()
        ]

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Bind inputs and outputs, so that invoking neither copies in nor allocates Python objects."""
        import onnxruntime

        names = [node.name for node in self._session.get_inputs()]
        self._feeds = dict(zip(names, arrays))
        self._binding = self._session.io_binding()
        for name, array in self._feeds.items():
            self._binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        for node in self._session.get_outputs():
            self._binding.bind_output(node.name, "cpu")
        return self._binding.copy_outputs_to_cpu  # type: ignore[no-any-return]

    def invoke(self) -> None:
        """Run once."""
        self._session.run_with_iobinding(self._binding)

    def effective_precision(self) -> Tuple[str, str]:
        """Profile a short session of its own on the bound inputs, and read which kernels ran."""
        return describe(self.short_profile())

    def short_profile(self) -> List[Dict[str, Any]]:
        """Return the events of a few inferences on the bound inputs."""

        def runs(run: Callable[[], None]) -> None:
            for _ in range(_PROFILE_RUNS):
                run()

        return self._profiled(runs)[0]

    def profile(self) -> OperatorProfile:
        """Time the kernels of a session of its own on the bound inputs."""

        def runs(run: Callable[[], None]) -> int:
            run()
            return repeat(run)

        events, count = self._profiled(runs)
        return OperatorProfile(operators(events, count), count, "ONNX Runtime's profile: kernel times")

    def _profiled(self, work: Callable[[Callable[[], None]], Any]) -> Tuple[List[Dict[str, Any]], Any]:
        """Profile a session of the loaded file on what is bound."""
        if self._options is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        return self.profiled(self._options.model, self._options, self._feeds, work)

    def profiled(
        self,
        model: Any,
        options: LoadOptions,
        feeds: Dict[str, Any],
        work: Callable[[Callable[[], None]], Any],
    ) -> Tuple[List[Dict[str, Any]], Any]:
        """Let `work` invoke a session that keeps a profile; return the profile's events and what work returns."""
        prefix = os.path.join(options.scratch, "onnxruntime-profile-%d" % os.getpid())
        session = self.make_session(model, options, prefix)
        try:
            answer = work(lambda: session.run(None, feeds))
            with open(session.end_profiling(), encoding="utf-8") as file:
                return json.load(file), answer
        finally:
            for leftover in glob.glob(glob.escape(prefix) + "*"):
                with contextlib.suppress(OSError):
                    os.remove(leftover)

    def close(self) -> None:
        """Let the session go."""
        self._session = self._binding = None
        self._feeds = {}
