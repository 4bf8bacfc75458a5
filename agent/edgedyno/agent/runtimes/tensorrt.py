"""TensorRT on NVIDIA GPUs: loads ONNX and builds an engine for the GPU at hand while loading.

Timed is an inference on data in the GPU's memory until the GPU has finished: copying there and back is not part
of it. Not verified on hardware; written against TensorRT's documentation for 8.5, 8.6, 10 and 11.
"""

import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.cuda import Cuda, CudaError, device_name
from edgedyno.agent.runtimes.onnx_file import Numbers
from edgedyno.agent.runtimes.operators import repeat
from edgedyno.agent.runtimes.tensorrt_engine import build_engine, compile_plan, make_logger, shape_of
from edgedyno.agent.runtimes.tensorrt_profile import describe, operators, read_layers

_OLDEST = (8, 5)  # the first with tensors by name and execute_async_v3
_WHERE = (
    "a Jetson has it in the system's Python, which `runtimes:` of the agent's configuration can name; other "
    "machines with an NVIDIA GPU get it by `pip install tensorrt`"
)


class TensorRt:
    """One engine with one execution context."""

    def __init__(self) -> None:
        self._engine: Any = None
        self._context: Any = None
        self._cuda: Optional[Cuda] = None
        self._addresses: Dict[str, int] = {}

    def probe(self) -> Probe:
        """Build an engine of a matrix product, run it and check its result."""
        try:
            import numpy as np
            import tensorrt as trt
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s; %s" % (error, _WHERE))
        version = str(trt.__version__)
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            return Probe(
                available=False, version=version, reason="found version %s, expected 8.5 or newer" % version
            )
        try:
            found = self._try_tiny(trt, np.array(tiny.INPUT, np.float32))
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        finally:
            self.close()
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        details = {"gpu": device_name(), "threads": "none", "numpy": np.__version__}
        return Probe(available=True, version=version, formats=("onnx",), details=details)

    def _try_tiny(self, trt: Any, array: Any) -> List[List[float]]:
        self._cuda = Cuda()
        logger = make_logger(trt)
        plan = compile_plan(trt, logger, tiny.ONNX, Numbers(half=False, quantized=False), 1)
        self._take(trt.Runtime(logger).deserialize_cuda_engine(plan))
        read = self.bind([array])
        self.invoke()
        return read()[0].tolist()  # type: ignore[no-any-return]

    def load(self, options: LoadOptions) -> None:
        """Build the engine, or take it from the scratch folder, where an earlier worker left it."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected an ONNX model")
        import tensorrt as trt

        try:
            self._cuda = Cuda()
        except CudaError as error:
            raise InferenceError("runtime.unavailable", str(error)) from error
        logger = make_logger(trt)
        trt.init_libnvinfer_plugins(logger, "")
        self._take(
            build_engine(
                trt, logger, options.model, batch=options.batch, folder=options.scratch, gpu=device_name()
            )
        )

    def _take(self, engine: Any) -> None:
        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise InferenceError(
                "worker.memory", "TensorRT gives no execution context: the GPU's memory is full"
            )

    def inputs(self) -> List[TensorSpec]:
        """Tell the engine's inputs; their shapes are fixed."""
        return [
            TensorSpec(name, self._dtype(name).name, shape_of(self._engine, name))
            for name in self._names(wanted_input=True)
        ]

    def _names(self, *, wanted_input: bool) -> List[str]:
        import tensorrt as trt

        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        return [
            name for name in names if (engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT) == wanted_input
        ]

    def _dtype(self, name: str) -> Any:
        import numpy as np
        import tensorrt as trt

        try:
            return np.dtype(trt.nptype(self._engine.get_tensor_dtype(name)))
        except TypeError as error:
            text = "the tensor %r has a type that numpy does not know: %s" % (name, error)
            raise InferenceError("model.dtype", text) from error

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Copy the arrays into the GPU's memory; reading copies the outputs back."""
        import numpy as np

        for name, array in zip(self._names(wanted_input=True), arrays):
            self._device.to_device(self._address(name, array.nbytes), np.ascontiguousarray(array))
        kept = {}
        for name in self._names(wanted_input=False):
            shape = tuple(int(size) for size in self._context.get_tensor_shape(name))
            if any(size < 0 for size in shape):
                text = "the output %r has a shape that depends on the data: %s" % (name, list(shape))
                raise InferenceError("model.shape", text)
            kept[name] = np.empty(shape, self._dtype(name))
            self._address(name, kept[name].nbytes)

        def read() -> List[Any]:
            for name, array in kept.items():
                self._device.to_host(array, self._addresses[name])
            return [array.copy() for array in kept.values()]

        return read

    @property
    def _device(self) -> Cuda:
        if self._cuda is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        return self._cuda

    def _address(self, name: str, size_bytes: int) -> int:
        """Return the tensor's place in the GPU's memory; shapes are fixed, so the first one does for good."""
        if name not in self._addresses:
            self._addresses[name] = self._device.allocate(size_bytes)
            self._context.set_tensor_address(name, self._addresses[name])
        return self._addresses[name]

    def invoke(self) -> None:
        """Run once and wait for the GPU."""
        if not self._context.execute_async_v3(self._cuda.stream):  # type: ignore[union-attr] # bind came before
            raise InferenceError(
                "runtime.error", "TensorRT refused to run: its words are in the worker's log"
            )
        self._cuda.synchronize()  # type: ignore[union-attr]

    def effective_precision(self) -> Tuple[str, str]:
        """Weigh the layers' types by the time that each takes."""
        return describe(self.profile().operators)

    def profile(self) -> OperatorProfile:
        """Time the layers in an execution context of its own: a profiler slows one down."""
        import tensorrt as trt

        device, context = self._device, self._engine.create_execution_context()
        for name, address in self._addresses.items():
            context.set_tensor_address(name, address)

        def run() -> None:
            context.execute_async_v3(device.stream)
            device.synchronize()

        run()
        profiler = _make_profiler(trt)
        context.profiler = profiler
        count = repeat(run)
        inspector = self._engine.create_engine_inspector()
        layers = read_layers(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
        found = operators(profiler.milliseconds, layers, count)
        return OperatorProfile(found, count, "TensorRT's profiler and engine inspector")

    def close(self) -> None:
        """Let the engine go and give the GPU's memory back."""
        self._context = self._engine = None
        self._addresses = {}
        if self._cuda is not None:
            self._cuda.free()
            self._cuda = None


def _make_profiler(trt: Any) -> Any:
    """Return a profiler that adds up the milliseconds of each layer."""

    class Profiler(trt.IProfiler):  # type: ignore[misc] # the package is untyped
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.milliseconds: Dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.milliseconds[layer_name] = self.milliseconds.get(layer_name, 0.0) + ms

    return Profiler()
