"""OpenCV's own networks (cv2.dnn) on the CPU: a cheap cross-check, on nearly every board already."""

import os
from typing import Any, Callable, List, Optional, Tuple

from edgedyno.agent.runtimes import opencv_profile, tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.failures import explain
from edgedyno.agent.runtimes.onnx_file import read_inputs, read_numbers
from edgedyno.agent.runtimes.operators import repeat

# What OpenCV writes, and what it means; the first that is found counts.
_FAILURES = (
    ("failed to parse onnx", "model.invalid"),
    ("can't read onnx", "model.invalid"),
    ("can't create layer", "model.operator"),
    ("unsupported onnx op", "model.operator"),
    ("unknown layer", "model.operator"),
    ("not implemented", "model.operator"),
    ("failed to allocate", "worker.memory"),
    ("insufficient memory", "worker.memory"),
    ("bad_alloc", "worker.memory"),
)


class OpenCv:
    """One network."""

    def __init__(self) -> None:
        self._net: Any = None
        self._options: Optional[LoadOptions] = None
        self._arrays: List[Any] = []
        self._names: List[str] = []
        self._outputs: Any = ()

    def probe(self) -> Probe:
        """Run a matrix product and check its result."""
        try:
            import cv2
            import numpy as np
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = str(cv2.__version__)
        try:
            net = cv2.dnn.readNetFromONNX(np.frombuffer(tiny.ONNX, np.uint8))
            net.setInput(np.array(tiny.INPUT, np.float32))
            found = net.forward().tolist()
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        details = {"parallel": _parallel(cv2.getBuildInformation()), "numpy": np.__version__}
        return Probe(available=True, version=version, formats=("onnx",), details=details)

    def load(self, options: LoadOptions) -> None:
        """Read the file for `options.threads` threads; OpenCV's threads are the process's own."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected an ONNX model")
        import cv2

        cv2.setNumThreads(options.threads)
        if cv2.getNumThreads() != options.threads:
            raise InferenceError(
                "threads.refused",
                "OpenCV takes %d threads here, expected %d" % (cv2.getNumThreads(), options.threads),
            )
        self._options = options
        self._net = _read(options.model)

    def inputs(self) -> List[TensorSpec]:
        """Tell the file's inputs; a free batch is the job's."""
        if self._options is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        return read_inputs(self._options.model)

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Give the arrays to the network, which copies them."""
        names = [spec.name for spec in self.inputs()]
        self._arrays = arrays
        try:
            _set_inputs(self._net, names, arrays)
            self._names = list(self._net.getUnconnectedOutLayersNames())
        except Exception as error:
            raise explain(error, _FAILURES) from error
        return lambda: [output.copy() for output in self._outputs]

    def invoke(self) -> None:
        """Run once; OpenCV computes again each time, the input being the same or not."""
        self._outputs = self._net.forward(self._names)

    def effective_precision(self) -> Tuple[str, str]:
        """Weigh each layer's kind of arithmetic by its time."""
        if self._options is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        return opencv_profile.describe(self.profile(), half=read_numbers(self._options.model).half)

    def profile(self) -> OperatorProfile:
        """Time each layer in a network of its own, on what is bound."""
        if self._options is None or not self._arrays:
            raise InferenceError("runtime.order", "found no bound input, expected load and bind before this")
        import cv2

        net = _read(self._options.model)
        if hasattr(net, "setProfilingMode"):
            net.setProfilingMode(cv2.dnn.DNN_PROFILE_DETAILED)
        _set_inputs(net, [spec.name for spec in self.inputs()], self._arrays)
        net.forward(self._names)  # the first one prepares
        ticks: List[Any] = []

        def run() -> None:
            net.forward(self._names)
            ticks.append(net.getPerfProfile()[1].ravel())

        repeat(run)
        half = read_numbers(self._options.model).half
        return opencv_profile.operators(net, ticks, cv2.getTickFrequency(), half=half)

    def close(self) -> None:
        """Let the network go."""
        self._net, self._arrays, self._outputs = None, [], ()


def _parallel(build: str) -> str:
    lines = [line.split(":", 1)[1].strip() for line in build.splitlines() if "Parallel framework:" in line]
    return lines[0] if lines else "unknown"


def _read(model: str) -> Any:
    import cv2

    try:
        return cv2.dnn.readNetFromONNX(model)
    except Exception as error:
        raise explain(error, _FAILURES) from error


def _set_inputs(net: Any, names: List[str], arrays: List[Any]) -> None:
    if len(arrays) == 1:
        net.setInput(arrays[0])
        return
    for name, array in zip(names, arrays):
        net.setInput(array, name)
