"""LiteRT (TensorFlow Lite's successor) on the CPU, with the delegate that it applies by itself: XNNPACK."""

import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.failures import explain
from edgedyno.agent.runtimes.litert_graph import describe

# What LiteRT writes, and what it means; the first that is found counts.
_FAILURES = (
    ("not a valid flatbuffer", "model.invalid"),
    ("model provided has model identifier", "model.invalid"),
    ("model allocation is null", "model.invalid"),
    ("mmap of size", "model.invalid"),
    ("unresolved custom op", "model.operator"),
    ("encountered unresolved", "model.operator"),
    ("didn't find op for builtin opcode", "model.operator"),
    ("registration failed", "model.operator"),
    ("failed to prepare", "model.operator"),
    ("bad_alloc", "worker.memory"),
)


class LiteRt:
    """One interpreter."""

    def __init__(self) -> None:
        self._interpreter: Any = None

    def probe(self) -> Probe:
        """Run a matrix product and check its result."""
        try:
            import numpy as np

            package, interpreter_class = self._import()
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = str(getattr(package, "__version__", "unknown"))
        try:
            interpreter = interpreter_class(model_content=tiny.TFLITE, num_threads=1)
            interpreter.allocate_tensors()
            interpreter.set_tensor(
                interpreter.get_input_details()[0]["index"], np.array(tiny.INPUT, np.float32)
            )
            interpreter.invoke()
            found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist()
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        return Probe(available=True, version=version, formats=("tflite",), details={"numpy": np.__version__})

    @staticmethod
    def _import() -> Tuple[Any, Any]:
        """Return the package and its class of interpreters."""
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter

        return ai_edge_litert, Interpreter

    def load(self, options: LoadOptions) -> None:
        """Make an interpreter with `options.threads` threads; a free batch becomes the asked one."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected a TFLite model")
        _, interpreter_class = self._import()
        try:
            interpreter = interpreter_class(model_path=options.model, num_threads=options.threads)
            for detail in interpreter.get_input_details():
                if len(detail["shape_signature"]) and detail["shape_signature"][0] < 0:
                    shape = [options.batch] + [int(size) for size in detail["shape"][1:]]
                    interpreter.resize_tensor_input(detail["index"], shape)
            interpreter.allocate_tensors()
        except Exception as error:
            raise explain(error, _FAILURES) from error
        self._interpreter = interpreter

    def inputs(self) -> List[TensorSpec]:
        """Tell the interpreter's inputs, with the scale and zero point of those that are quantized."""
        import numpy as np

        specs = []
        for detail in self._interpreter.get_input_details():
            scale, zero_point = _quantization(detail)
            shape = tuple(int(size) for size in detail["shape"])
            specs.append(TensorSpec(detail["name"], np.dtype(detail["dtype"]).name, shape, scale, zero_point))
        return specs

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Copy the arrays into the interpreter's input tensors; its delegate works on them in place."""
        for detail, array in zip(self._interpreter.get_input_details(), arrays):
            self._interpreter.set_tensor(detail["index"], array)
        outputs = self._interpreter.get_output_details()
        return lambda: [_real(self._interpreter.get_tensor(each["index"]), each) for each in outputs]

    def invoke(self) -> None:
        """Run once."""
        self._interpreter.invoke()

    def effective_precision(self) -> Tuple[str, str]:
        """Read the interpreter's own graph as its delegate left it; it gives no times, so work is counted."""
        if self._interpreter is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        outputs = [int(each["index"]) for each in self._interpreter.get_output_details()]
        return describe(self._operators(), self._interpreter.get_tensor_details(), outputs)

    def _operators(self) -> List[Dict[str, Any]]:
        """Return the graph's operators: the only way to the delegate's share from Python, since TensorFlow 2.5."""
        return list(self._interpreter._get_ops_details())  # noqa: SLF001

    def profile(self) -> OperatorProfile:
        """Say why not: seen in ai-edge-litert 2.3.0."""
        raise InferenceError(
            "profile.unsupported",
            "LiteRT's Python interface gives no times of operators: its profiler is for C and C++ only, and its "
            "benchmark tool in Python does not ask for it",
        )

    def close(self) -> None:
        """Let the interpreter go."""
        self._interpreter = None


def _quantization(detail: Any) -> Tuple[Optional[float], Optional[int]]:
    """Return scale and zero point of a tensor that is quantized as a whole, else None twice."""
    scales = detail["quantization_parameters"]["scales"]
    if len(scales) != 1:
        return None, None
    return float(scales[0]), int(detail["quantization_parameters"]["zero_points"][0])


def _real(array: Any, detail: Any) -> Any:
    """Return the numbers that a quantized output stands for: scale * (value - zero point)."""
    import numpy as np

    scale, zero_point = _quantization(detail)
    if scale is None or not np.issubdtype(array.dtype, np.integer):
        return array
    return (array.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
