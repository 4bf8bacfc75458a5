"""Apache TVM on the CPU: an ONNX file is compiled for this very processor while it is loaded, without tuning."""

import os
import re
import warnings
from typing import Any, Callable, List, Optional, Tuple

from edgedyno.agent.runtimes import tiny, tvm_profile, tvm_target
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.failures import explain
from edgedyno.agent.runtimes.onnx_file import read_numbers
from edgedyno.agent.runtimes.operators import repeat

_MAIN = "main"

# How long TVM's threads spin, yielding, before they sleep. Its own 300,000 turns last 0.2 s, which a loaded worker
# took from its neighbours after every burst; these last about a millisecond, and no inference became slower.
_SPIN_TURNS = "1500"

# What TVM writes, and what it means; the first that is found counts.
_FAILURES = (
    ("not supported for frontend onnx", "model.operator"),
    ("operators are not supported", "model.operator"),
    ("opnotimplemented", "model.operator"),
    ("not implemented", "model.operator"),
    ("no implementation", "model.operator"),
    ("not found in registry", "model.operator"),
    ("bad_alloc", "worker.memory"),
    ("cannot allocate memory", "worker.memory"),
)


class Tvm:
    """One compiled module in one virtual machine."""

    def __init__(self) -> None:
        self._module: Any = None
        self._machine: Any = None
        self._target: Any = None
        self._specs: List[TensorSpec] = []
        self._tensors: List[Any] = []
        self._half_stored = False

    def probe(self) -> Probe:
        """Compile a matrix product, run it and check its result."""
        try:
            tvm = _import(1)
            import numpy as np
            import onnx
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = str(tvm.__version__)
        try:
            self._compile(onnx.load_model_from_string(tiny.ONNX), 1)
            read = self.bind([np.array(tiny.INPUT, np.float32)])
            self.invoke()
            found = read()[0].tolist()
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        details = {"target": _tell(self._target), "numpy": np.__version__, "onnx": str(onnx.__version__)}
        return Probe(available=True, version=version, formats=("onnx",), details=details)

    def load(self, options: LoadOptions) -> None:
        """Compile for `options.threads` threads; a free batch becomes the asked one."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected an ONNX model")
        tvm = _import(options.threads)
        taken = int(tvm.get_global_func("runtime.NumThreads")())
        if taken != options.threads:
            raise InferenceError(
                "threads.refused", "TVM takes %d threads here, expected %d" % (taken, options.threads)
            )
        model = _parse(options.model)
        self._half_stored = read_numbers(options.model).half
        _fix_batch(model, options.batch)
        try:
            self._compile(model, options.threads)
        except Exception as error:
            raise explain(error, _FAILURES) from error

    def _compile(self, model: Any, threads: int) -> None:
        import tvm
        from tvm.relax.frontend.onnx import from_onnx

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it renames inputs with dots, and says so
            module = from_onnx(model, keep_params_in_input=False)
        self._target = tvm.target.Target(tvm_target.describe(threads))
        self._module = tvm.compile(module, target=self._target).jit()
        self._machine = tvm.relax.VirtualMachine(self._module, tvm.cpu())
        self._specs = _inputs(model)

    def inputs(self) -> List[TensorSpec]:
        """Tell the file's inputs, in the order that the compiled function takes them."""
        return self._specs

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Copy the arrays into tensors of TVM's and make them the arguments."""
        import tvm

        self._tensors = [tvm.runtime.tensor(array) for array in arrays]
        self._machine.set_input(_MAIN, *self._tensors)
        return lambda: [output.numpy() for output in _flat(self._machine.get_outputs(_MAIN))]

    def invoke(self) -> None:
        """Run once on the arguments that are set."""
        self._machine.invoke_stateful(_MAIN)

    def effective_precision(self) -> Tuple[str, str]:
        """Weigh each call's arithmetic, by the types of its tensors, by its time."""
        profile = self.profile()
        half = tvm_target.has_half(self._target)
        return tvm_profile.describe(profile, _tell(self._target), half_stored=self._half_stored, half=half)

    def profile(self) -> OperatorProfile:
        """Time each call of a virtual machine of its own, on what is bound."""
        if self._module is None or not self._tensors:
            raise InferenceError("runtime.order", "found no bound input, expected load and bind before this")
        import tvm

        machine = tvm.relax.VirtualMachine(self._module, tvm.cpu())
        machine.set_input(_MAIN, *self._tensors)
        machine.invoke_stateful(_MAIN)
        instrument = tvm_profile.Instrument(half=tvm_target.has_half(self._target))
        machine.set_instrument(instrument)

        def run() -> None:
            instrument.start()
            machine.invoke_stateful(_MAIN)

        return tvm_profile.operators(instrument.events, repeat(run))

    def close(self) -> None:
        """Let the machine and the module go."""
        self._machine, self._module, self._tensors = None, None, []


def _import(threads: int) -> Any:
    """Import TVM with so many threads; it would bind them to cores of its own choice, so that is off.

    It reads these once, when it starts its threads.
    """
    os.environ["TVM_NUM_THREADS"] = str(threads)
    os.environ["TVM_BIND_THREADS"] = "0"
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", _SPIN_TURNS)
    import tvm

    return tvm


def _parse(path: str) -> Any:
    import onnx

    try:
        return onnx.load_model(path)
    except Exception as error:
        raise InferenceError("model.invalid", "%s: %s" % (type(error).__name__, error)) from error


def _fix_batch(model: Any, batch: int) -> None:
    """Make a free first dimension the batch; a symbolic one would be compiled for any size, and be slower."""
    for value in model.graph.input:
        sizes = value.type.tensor_type.shape.dim
        if len(sizes) and sizes[0].dim_value <= 0:
            sizes[0].ClearField("dim_param")
            sizes[0].dim_value = batch


def _inputs(model: Any) -> List[TensorSpec]:
    import onnx

    constants = {each.name for each in model.graph.initializer}
    return [
        TensorSpec(
            value.name,
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            tuple(size.dim_value or None for size in value.type.tensor_type.shape.dim),
        )
        for value in model.graph.input
        if value.name not in constants
    ]


def _flat(outputs: Any) -> List[Any]:
    if hasattr(outputs, "numpy"):
        return [outputs]
    return [each for output in outputs for each in _flat(output)]


def _tell(target: Any) -> str:
    found: Optional[Any] = re.search(r'"mcpu":\s*"([^"]+)"', str(target))
    off = len(re.findall(r'"-[a-z0-9.-]+"', str(target)))
    name = found.group(1) if found else str(target)
    return "%s less %d features that are not here" % (name, off) if off else name
