"""OpenVINO on the CPU."""

import os
import zipfile
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes import bundle, tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.failures import explain
from edgedyno.agent.runtimes.openvino_profile import Kernel, describe, operators
from edgedyno.agent.runtimes.operators import repeat

_PROFILE_RUNS = 5

# What OpenVINO writes, and what it means; the first that is found counts.
_FAILURES = (
    ("no conversion rule found", "model.operator"),
    ("opconversionfailure", "model.operator"),
    ("unsupported operation", "model.operator"),
    ("unable to read the model", "model.invalid"),
    ("can't be parsed", "model.invalid"),
    ("parsefromistream", "model.invalid"),
    ("bad_alloc", "worker.memory"),
    ("bad allocation", "worker.memory"),
)


class OpenVino:
    """One compiled model with one infer request."""

    def __init__(self) -> None:
        self._model: Any = None
        self._request: Any = None
        self._bound: List[Any] = []
        self._options: Optional[LoadOptions] = None

    def probe(self) -> Probe:
        """Run a matrix product on the CPU plugin and check its result."""
        try:
            import numpy as np
            import openvino
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = _version(openvino)
        try:
            core = openvino.Core()
            model = core.read_model(tiny.ONNX, b"")
            request = core.compile_model(model, "CPU", _settings(1, model)).create_infer_request()
            found = next(iter(request.infer([np.array(tiny.INPUT, np.float32)]).values())).tolist()
            capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        details = {"capabilities": ",".join(capabilities), "numpy": np.__version__}
        return Probe(available=True, version=version, formats=("openvino", "onnx"), details=details)

    def load(self, options: LoadOptions) -> None:
        """Compile for the CPU with `options.threads` threads in one stream; a free batch becomes the asked one.

        Raises InferenceError, also where OpenVINO would take another number of threads than was asked.
        """
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected a model")
        self._options = options
        compiled = self._compile(options, {})
        taken = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        if taken != options.threads:
            raise InferenceError(
                "threads.refused", "OpenVINO takes %d threads here, expected %d" % (taken, options.threads)
            )
        self._model = compiled
        self._request = compiled.create_infer_request()

    @staticmethod
    def _compile(options: LoadOptions, extra: Dict[str, Any]) -> Any:
        import openvino

        core = openvino.Core()
        try:
            model = _read(core, options)
            _fix_batch(model, options.batch)
            return core.compile_model(model, "CPU", dict(_settings(options.threads, model), **extra))
        except Exception as error:
            raise explain(error, _FAILURES) from error

    def inputs(self) -> List[TensorSpec]:
        """Tell the compiled model's inputs."""
        return [
            TensorSpec(_name(port, index), port.get_element_type().to_dtype().name, _shape(port))
            for index, port in enumerate(self._model.inputs)
        ]

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Bind the arrays' own memory as input tensors."""
        self._bound = _tensors(arrays)
        for index, tensor in enumerate(self._bound):
            self._request.set_input_tensor(index, tensor)
        count = len(self._model.outputs)
        return lambda: [self._request.get_output_tensor(index).data.copy() for index in range(count)]

    def invoke(self) -> None:
        """Run once in this thread; outputs stay where they are, nothing is copied."""
        self._request.infer(share_outputs=True)

    def effective_precision(self) -> Tuple[str, str]:
        """Count kernels in a compilation of its own on the bound inputs: counting has a price."""
        request = self._counting_request()
        kernels: List[Kernel] = []
        for _ in range(_PROFILE_RUNS):
            request.infer(share_outputs=True)
            kernels += _counters(request)
        return describe((each.node_type, each.exec_type, each.seconds) for each in kernels)

    def profile(self) -> OperatorProfile:
        """Read the counters of a compilation of its own on the bound inputs, after one inference to warm up."""
        request = self._counting_request()
        request.infer(share_outputs=True)
        kernels: List[Kernel] = []

        def run() -> None:
            request.infer(share_outputs=True)
            kernels.extend(_counters(request))

        count = repeat(run)
        return OperatorProfile(operators(kernels, count), count, "OpenVINO's performance counters")

    def _counting_request(self) -> Any:
        if self._options is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        request = self._compile(self._options, {"PERF_COUNT": True}).create_infer_request()
        for index, tensor in enumerate(self._bound):
            request.set_input_tensor(index, tensor)
        return request

    def close(self) -> None:
        """Let the request and the model go."""
        self._request = self._model = None
        self._bound = []


def _counters(request: Any) -> List[Kernel]:
    """Return what each node of the last inference took."""
    return [
        Kernel(each.node_name, each.node_type, each.exec_type, each.real_time.total_seconds())
        for each in request.get_profiling_info()
    ]


def _read(core: Any, options: LoadOptions) -> Any:
    """Read an ONNX file, or a bundle of an IR's two files."""
    if not zipfile.is_zipfile(options.model):
        return core.read_model(options.model)
    # Mapped into memory, the weights would change under an earlier compilation when they are unpacked again.
    core.set_property({"ENABLE_MMAP": False})
    graph, weights = bundle.unpack(options.model, options.scratch, ("model.xml", "model.bin"))
    return core.read_model(graph, weights)


def _settings(threads: int, model: Any) -> Dict[str, Any]:
    """Return the plugin's properties: the worker chooses the cores, and the file chooses the precision."""
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # Left to itself it picks FP16 or BF16 where the CPU has them, whatever the file says.
        "INFERENCE_PRECISION_HINT": "f16" if _is_half(model) else "f32",
        # The worker is confined already; OpenVINO's own pinning would override the core set.
        "ENABLE_CPU_PINNING": False,
        # Else it leaves the second thread of a core out, and takes fewer threads than it was told.
        "ENABLE_HYPER_THREADING": True,
    }


def _is_half(model: Any) -> bool:
    return any(
        node.get_type_name() == "Constant" and node.get_output_element_type(0).get_type_name() == "f16"
        for node in model.get_ops()
    )


def _fix_batch(model: Any, batch: int) -> None:
    """Make a free first dimension the batch: as it would be deployed; free shapes run on slower paths."""
    shapes = {}
    for port in model.inputs:
        shape = port.get_partial_shape()
        if shape.rank.is_static and len(shape) and shape[0].is_dynamic:
            shape[0] = batch
            shapes[port] = shape
    if shapes:
        model.reshape(shapes)


def _tensors(arrays: List[Any]) -> List[Any]:
    import openvino

    return [openvino.Tensor(array, shared_memory=True) for array in arrays]


def _name(port: Any, index: int) -> str:
    return str(min(port.get_names(), default="input %d" % index))


def _shape(port: Any) -> Tuple[Optional[int], ...]:
    return tuple(size.get_length() if size.is_static else None for size in port.get_partial_shape())


def _version(module: Any) -> str:
    # "2026.4.1-22982-e213a147257-releases/2026/4": the build's number and branch say nothing to a reader.
    return str(module.__version__).split("-", 1)[0]
