"""Rockchip's NPU through rknn-toolkit-lite2, on the board. Not verified on hardware.

Written against the Python sources of rknn-toolkit-lite2 2.5.0. Its `inference` hands over the input, runs and
fetches the outputs in one call, and that call is what is timed: the parts are not to be had apart.
A trial's threads are cores of the NPU.
"""

import os
from typing import Any, Callable, List, Optional, Tuple

from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.rknn_file import Described, data_formats, describe_file, tell_file, unpack_model

COMPATIBLE = "/proc/device-tree/compatible"
LIBRARY = "librknnrt.so"
# NPU cores, and the masks of the first n of them (RKNNLite.NPU_CORE_0, _0_1, _0_1_2).
_CORES = {"rk3588": 3, "rk3576": 2, "rk3568": 1, "rk3566": 1, "rk3562": 1}
_MASKS = (1, 3, 7)
_NOT_RUN = "library and processor; no model was run: a .rknn file is for one NPU and one version"


class Rknn:
    """One model in one runtime context."""

    def __init__(self) -> None:
        self._rknn: Any = None
        self._file: Optional[Described] = None
        self._arrays: List[Any] = []
        self._outputs: List[Any] = []

    def probe(self) -> Probe:
        """See that the package, the library and a processor with an NPU are there; there is no model to try."""
        try:
            from rknnlite.api import RKNNLite
        except ImportError as error:
            reason = (
                "cannot be imported: %s; rknn-toolkit-lite2 is for Rockchip boards (aarch64) only" % error
            )
            return Probe(available=False, reason=reason)
        version = _version("rknn-toolkit-lite2")
        processor = find_processor()
        if processor is None:
            expected = ", ".join(_CORES)
            reason = "found no processor with an NPU in %s, expected one of %s" % (COMPATIBLE, expected)
            return Probe(available=False, version=version, reason=reason)
        try:
            import ctypes

            ctypes.CDLL(LIBRARY)
            RKNNLite(verbose=False).release()
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="%s: %s" % (type(error).__name__, error))
        details = {"processor": processor, "npu_cores": str(_CORES[processor]), "proved": _NOT_RUN}
        return Probe(available=True, version=version, formats=("rknn",), details=details)

    def load(self, options: LoadOptions) -> None:
        """Load the file on as many NPU cores as the trial has threads."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError(
                "model.empty", "found a file of 0 bytes, expected an .rknn file or its bundle"
            )
        from rknnlite.api import RKNNLite

        path = unpack_model(options.model, options.scratch)
        self._file = describe_file(path)
        processor = find_processor()
        mask = _choose_cores(processor, options.threads)
        if processor not in self._file.targets and "%ss" % processor not in self._file.targets:
            text = "found a file for %s, expected one for %s" % (", ".join(self._file.targets), processor)
            raise InferenceError("model.target", text)
        rknn = RKNNLite(verbose=False)
        if rknn.load_rknn(path) != 0:
            raise InferenceError(
                "model.invalid", "RKNNLite.load_rknn refused the file; it says why on stderr"
            )
        answer = rknn.init_runtime() if mask is None else rknn.init_runtime(core_mask=mask)
        if answer != 0:
            rknn.release()
            text = "RKNNLite.init_runtime failed on a file of toolkit %s; it says why on stderr"
            raise InferenceError("model.load", text % self._file.toolkit)
        self._rknn = rknn

    def inputs(self) -> List[TensorSpec]:
        """Tell the file's inputs as they are fed: float32, which the runtime quantizes itself."""
        return self._described.inputs

    @property
    def _described(self) -> Described:
        if self._file is None:
            raise InferenceError("runtime.order", "found no loaded variant, expected load before this")
        return self._file

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Keep the arrays: there is no public way to hand them over before running."""
        self._arrays = arrays
        self._formats = data_formats(self._described.inputs)
        return lambda: list(self._outputs)

    def invoke(self) -> None:
        """Hand over the input, run, fetch the outputs."""
        outputs = self._rknn.inference(inputs=self._arrays, data_format=self._formats)
        if outputs is None:
            raise InferenceError("runtime.error", "RKNNLite.inference failed; it says why on stderr")
        self._outputs = outputs

    def effective_precision(self) -> Tuple[str, str]:
        """Tell what the file was built for: the Python runtime does not tell what each operator ran in."""
        found = self._described
        return found.precision, tell_file(found) + "; the runtime does not tell which operators ran elsewhere"

    def profile(self) -> OperatorProfile:
        """Say why not."""
        raise InferenceError(
            "profile.unsupported",
            "rknn-toolkit-lite2 gives no times of operators: they need rknn-toolkit2 and its perf_debug",
        )

    def close(self) -> None:
        """Free the NPU."""
        if self._rknn is not None:
            self._rknn.release()
            self._rknn = None


def find_processor(path: str = COMPATIBLE) -> Optional[str]:
    """Return the board's processor with an NPU, as the device tree names it."""
    try:
        with open(path, "rb") as file:
            words = file.read().decode("utf-8", "replace")
    except OSError:
        return None
    return next((name for name in _CORES if name in words), None)


def _choose_cores(processor: Optional[str], threads: int) -> Optional[int]:
    """Return the mask of the first `threads` NPU cores; None where there is one and no choice.

    Raises InferenceError (threads.beyond): the trial is then skipped.
    """
    cores = _CORES.get(processor or "", 0)
    if not cores:
        raise InferenceError("runtime.unavailable", "found no processor with an NPU in %s" % COMPATIBLE)
    if threads > cores:
        text = "found %d threads, expected at most %d: on an NPU they are its cores, and %s has %d"
        raise InferenceError("threads.beyond", text % (threads, cores, processor, cores))
    return None if cores == 1 else _MASKS[threads - 1]


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
