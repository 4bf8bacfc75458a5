"""MNN on the CPU.

Inferences go through its Module interface, which keeps an input as it was given. Its Session interface reuses
the input's memory, so that a second inference without a new copy computes on what the first one left there; but
only a session tells what it runs, so profiles come from one, with a fresh copy each time.
"""

import os
import re
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes import mnn_file, mnn_profile, tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.spoken import overheard

_PROFILE_RUNS = 5
_CPU = 0
_HIGH, _LOW = 1, 2  # MNN's BackendConfig::PrecisionMode; what it calls normal is its own choice
_NORMAL = 0  # power and memory: no binding to cores, and weights of 8 bits are widened while loading

# What MNN says while it is imported, such as "The device supports: i8sdot:0, fp16:0, i8mm: 0".
_device: List[str] = []


class Mnn:
    """One module; the file is kept for profiles."""

    def __init__(self) -> None:
        self._module: Any = None
        self._data = b""
        self._options: Optional[LoadOptions] = None
        self._stored: Dict[str, str] = {}
        self._arrays: List[Any] = []
        self._variables: List[Any] = []
        self._outputs: List[Any] = []

    def probe(self) -> Probe:
        """Run a matrix product and check its result."""
        try:
            mnn = _import()
            import numpy as np
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = str(mnn.version())
        try:
            found = tiny.run(Mnn(), tiny.MNN)
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        details = {"device": _tell_device(), "numpy": np.__version__}
        return Probe(available=True, version=version, formats=("mnn",), details=details)

    def load(self, options: LoadOptions) -> None:
        """Load for `options.threads` threads; FP16 is asked for where weights are stored so, else FP32."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected an MNN model")
        mnn = _import()
        with overheard() as said:
            try:
                self._stored = self._read(mnn, options)
                # MNN 3.6.1 makes noise of quantized convolutions that it rearranges (FastestDet: -150 dB).
                rearrange = mnn_file.INTEGER not in self._stored.values()
                self._module = _make_module(mnn, options, self._precision(), rearrange=rearrange)
            except Exception as error:  # noqa: BLE001 - MNN raises SystemError and bare Exceptions
                failure: Optional[Exception] = error
            else:
                failure = None
        if failure is not None:
            raise _explain(failure, said) from failure
        self._options = options

    @staticmethod
    def _read(mnn: Any, options: LoadOptions) -> Dict[str, str]:
        """Let MNN verify the file, then read how its weights are stored."""
        mnn.Interpreter(options.model)
        with open(options.model, "rb") as file:
            return mnn_file.stored_weights(file.read())

    def _precision(self) -> int:
        return _LOW if "fp16" in self._stored.values() else _HIGH

    def inputs(self) -> List[TensorSpec]:
        """Tell the module's inputs; a dimension below nought is free, and a free batch is the job's."""
        info = self._module.get_info()
        return [
            TensorSpec(name, _dtype(variable), tuple(size if size > 0 else None for size in variable.shape))
            for name, variable in zip(info["inputNames"], info["inputs"])
        ]

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Copy the arrays into variables of MNN's, which it reads in place."""
        import MNN.expr as expressions

        kinds = {"float32": expressions.float, "int32": expressions.int, "uint8": expressions.uint8}
        layouts = [variable.data_format for variable in self._module.get_info()["inputs"]]
        self._arrays = arrays
        self._variables = [
            expressions.const(
                array,
                list(array.shape),
                expressions.NCHW if layout == expressions.NC4HW4 else layout,
                kinds[array.dtype.name],
            )
            for array, layout in zip(arrays, layouts)
        ]
        return lambda: [_read_variable(expressions, output) for output in self._outputs]

    def invoke(self) -> None:
        """Run once; the outputs are computed when this returns."""
        self._outputs = self._module.onForward(self._variables)

    def effective_precision(self) -> Tuple[str, str]:
        """Weigh each operator's arithmetic by its time."""
        return mnn_profile.describe(self.profile(), self._stored, _tell_device())

    def profile(self) -> OperatorProfile:
        """Time each operator on what is bound, in a session of its own."""
        if self._options is None or not self._arrays:
            raise InferenceError("runtime.order", "found no bound input, expected load and bind before this")
        mnn = _import()
        interpreter = mnn.Interpreter(self._options.model)
        session = interpreter.createSession(_settings(self._options.threads, self._precision()))
        refill = _refiller(mnn, interpreter, session, self._arrays[0])
        half = self._precision() == _LOW and re.search(r"fp16:\s*1", _tell_device())
        return mnn_profile.time_operators(
            interpreter, session, refill, self._stored, "fp16" if half else "fp32", _PROFILE_RUNS
        )

    def close(self) -> None:
        """Let the module and what it made go."""
        self._outputs, self._variables, self._arrays = [], [], []
        self._module = None


def _import() -> Any:
    """Import MNN without its command-line tools, which install packages and report to their maker."""
    sys.modules["MNN.tools"] = None  # type: ignore[assignment]
    if "MNN" in sys.modules:
        return sys.modules["MNN"]
    with overheard() as said:
        import MNN
    _device.extend(said)
    return MNN


def _tell_device() -> str:
    lines = [line.split(":", 1)[1].strip() for line in _device if line.startswith("The device supports")]
    return lines[0] if lines else ""


def _settings(threads: int, precision: int) -> Dict[str, int]:
    """Return what MNN is told; its power modes would choose cores, and the worker is confined already."""
    return {
        "backend": _CPU,
        "numThread": threads,
        "precision": precision,
        "power": _NORMAL,
        "memory": _NORMAL,
    }


def _make_module(mnn: Any, options: LoadOptions, precision: int, *, rearrange: bool) -> Any:
    manager = mnn.nn.create_runtime_manager((_settings(options.threads, precision),))
    module = mnn.nn.load_module_from_file(options.model, [], [], runtime_manager=manager, rearrange=rearrange)
    if module is None:
        raise InferenceError("model.load", "MNN gives no module")
    return module


def _refiller(mnn: Any, interpreter: Any, session: Any, array: Any) -> Callable[[], None]:
    """Return what copies the array into the session's only input."""
    tensor = interpreter.getSessionInput(session)
    if tuple(tensor.getShape()) != tuple(array.shape):
        interpreter.resizeTensor(tensor, tuple(array.shape))
        interpreter.resizeSession(session)
    kinds = {"float32": mnn.Halide_Type_Float, "int32": mnn.Halide_Type_Int, "uint8": mnn.Halide_Type_Uint8}
    layout = tensor.getDimensionType()
    host = mnn.Tensor(tuple(array.shape), kinds[array.dtype.name], array, layout)

    def refill() -> None:
        tensor.copyFrom(host)

    return refill


def _dtype(variable: Any) -> str:
    # "dtype.float": MNN's names are C's.
    name = str(variable.dtype).rsplit(".", 1)[-1]
    return {"float": "float32", "int": "int32", "double": "float64"}.get(name, name)


def _read_variable(expressions: Any, variable: Any) -> Any:
    if variable.data_format == expressions.NC4HW4:
        variable = expressions.convert(variable, expressions.NCHW)
    return variable.read().copy()


def _explain(error: Exception, said: List[str]) -> InferenceError:
    if isinstance(error, InferenceError):
        return error
    words = "; ".join(said) or str(error)
    if "Invalidate buffer" in words or "Invalid model" in str(error):
        return InferenceError("model.invalid", "MNN refuses the file: %s" % words)
    if "not support" in words.lower() or "create execution error" in words.lower():
        return InferenceError("model.operator", words)
    return InferenceError("model.load", "%s: %s" % (type(error).__name__, words))
