"""Rockchip's NPU as rknn-toolkit2 imitates it on x86-64: outputs as the NPU would give them, never a time.

The toolkit simulates only a model that it has built in the same process, so loading builds the variant again
from what its bundle holds: for INT8 from the quantization that was found when it was first built, without any
image (the outputs of both builds were equal bit for bit in 2.5.0).
"""

import os
import tempfile
from typing import Any, Callable, Dict, List, Optional, Tuple

from edgedyno.agent.runtimes import tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.rknn_file import (
    Described,
    Simulation,
    data_formats,
    describe_file,
    tell_file,
    unpack_model,
    unpack_simulation,
)
from edgedyno.agent.runtimes.shares import name_main

TINY_TARGET = "rk3588"
_TOLERANCE = 0.01  # the simulator computes in FP16 where nothing is quantized


class RknnSimulator:
    """One model that was built in this process."""

    def __init__(self) -> None:
        self._rknn: Any = None
        self._file: Optional[Described] = None
        self._tensors: Dict[str, int] = {}
        self._arrays: List[Any] = []
        self._outputs: List[Any] = []

    def probe(self) -> Probe:
        """Build and simulate a matrix product."""
        try:
            import numpy as np
            import rknn.api  # noqa: F401 - whether it can be imported
        except ImportError as error:
            reason = "cannot be imported: %s; rknn-toolkit2 wants an environment of its own" % error
            return Probe(available=False, reason=reason)
        from importlib.metadata import version as version_of

        version = version_of("rknn-toolkit2")
        try:
            found = self._try_tiny(np)
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        finally:
            self.close()
        if not np.allclose(found, tiny.EXPECTED, atol=_TOLERANCE):
            return Probe(available=False, version=version, reason=tiny.complain(found.tolist()))
        details = {"timing": "simulated", "numpy": np.__version__}
        return Probe(available=True, version=version, formats=("rknn",), details=details)

    def _try_tiny(self, np: Any) -> Any:
        with tempfile.TemporaryDirectory(prefix="edgedyno-probe-") as folder, _working_in(folder):
            with open("tiny.onnx", "wb") as file:
                file.write(tiny.ONNX)
            self._start(Simulation(TINY_TARGET, None, os.path.join(folder, "tiny.onnx")), [])
            return self._rknn.inference(inputs=[np.array(tiny.INPUT, np.float32)])[0]

    def load(self, options: LoadOptions) -> None:
        """Build the model again from its bundle."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError("model.empty", "found a file of 0 bytes, expected a bundle of format rknn")
        simulation = unpack_simulation(options.model, options.scratch)
        self._file = describe_file(unpack_model(options.model, options.scratch))
        if simulation.quantized is not None:
            self._tensors = count_types(simulation.quantized[2])
        with _working_in(options.scratch):  # it leaves files where it works
            self._start(simulation, self._file.inputs)

    def _start(self, simulation: Simulation, inputs: List[TensorSpec]) -> None:
        """Build; the inputs' shapes say what is free in the ONNX file."""
        from rknn.api import RKNN

        self._rknn = rknn = RKNN(verbose=False)
        _demand(rknn.config(target_platform=simulation.target), "config")
        if simulation.quantized is not None:
            model, data, table = simulation.quantized
            answer = rknn.hybrid_quantization_step2(
                model_input=model, data_input=data, model_quantization_cfg=table
            )
            _demand(answer, "hybrid_quantization_step2")
        else:
            names = [each.name for each in inputs] or None
            shapes = [list(each.shape) for each in inputs] or None
            _demand(rknn.load_onnx(simulation.onnx, inputs=names, input_size_list=shapes), "load_onnx")
            _demand(rknn.build(do_quantization=False), "build")
        _demand(rknn.init_runtime(), "init_runtime")

    def inputs(self) -> List[TensorSpec]:
        """Tell the file's inputs as they are fed: float32."""
        return self._described.inputs

    @property
    def _described(self) -> Described:
        if self._file is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        return self._file

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Keep the arrays."""
        self._arrays = arrays
        return lambda: list(self._outputs)

    def invoke(self) -> None:
        """Simulate one inference."""
        outputs = self._rknn.inference(inputs=self._arrays, data_format=data_formats(self._described.inputs))
        if outputs is None:
            raise InferenceError("runtime.error", "RKNN.inference failed; it says why on stderr")
        self._outputs = outputs

    def effective_precision(self) -> Tuple[str, str]:
        """Count the types in the quantization table; without one everything is FP16."""
        found = self._described
        if not self._tensors:
            return found.precision, "simulated; " + tell_file(found)
        total = sum(self._tensors.values())
        parts = ["%d of %d tensors %s" % (count, total, name) for name, count in self._tensors.items()]
        word = name_main({name: float(count) for name, count in self._tensors.items()})
        return word, "simulated; by the quantization table: %s; %s" % (", ".join(parts), tell_file(found))

    def profile(self) -> OperatorProfile:
        """Say why not."""
        raise InferenceError("profile.unsupported", "a simulator's times tell nothing of the NPU")

    def close(self) -> None:
        """Let the model go."""
        if self._rknn is not None:
            self._rknn.release()
            self._rknn = None


class _working_in:  # noqa: N801 - reads as what it does
    """Change the working folder for a while (contextlib.chdir is there from Python 3.11 on)."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._before = ""

    def __enter__(self) -> None:
        self._before = os.getcwd()
        os.chdir(self._folder)

    def __exit__(self, *_: object) -> None:
        os.chdir(self._before)


def count_types(path: str) -> Dict[str, int]:
    """Count the tensors of each type in a quantization table, the most frequent first; the file is YAML.

    The tensors' own entry is `dtype`; inputs that are fed as float32 are listed as such.
    """
    names = {"int8": "int8", "int16": "int16", "float16": "fp16"}
    counts: Dict[str, int] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, _, value = line.strip().partition(": ")
            if key == "dtype" and value in names:
                counts[names[value]] = counts.get(names[value], 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _demand(answer: int, call: str) -> None:
    """Raise what a call that did not give 0 means; the toolkit writes its reasons to stderr."""
    if answer != 0:
        code = "model.load" if call in ("config", "init_runtime") else "model.operator"
        raise InferenceError(code, "RKNN.%s failed; it says why on stderr" % call)
