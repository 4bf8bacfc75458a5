"""ncnn on the CPU; a variant is a bundle of model.param and model.bin."""

import os
import sys
from typing import Any, Callable, Dict, List, Sequence, Tuple

from edgedyno.agent.runtimes import ncnn_param, ncnn_profile, tiny
from edgedyno.agent.runtimes.base import InferenceError, LoadOptions, OperatorProfile, Probe, TensorSpec
from edgedyno.agent.runtimes.bundle import unpack
from edgedyno.agent.runtimes.ncnn_param import Layer
from edgedyno.agent.runtimes.ncnn_profile import Arithmetic
from edgedyno.agent.runtimes.spoken import overheard

_MEMBERS = ("model.param", "model.bin")
_PROFILE_RUNS = 5

# How long GNU OpenMP's threads spin before they sleep, in turns of a loop. Its own 300,000 last 12 ms on x86,
# where each turn is a PAUSE: a loaded worker took that from its neighbour after every burst. 30,000 last 1 ms,
# far longer than the gaps within an inference, whose time stayed the same; with 0 it doubled (FastestDet, two
# threads). Elsewhere a turn is some nanoseconds, and the default is left alone.
_SPIN_TURNS = "30000"
_PAUSING = ("x86_64", "AMD64", "i686")


class Ncnn:
    """One net; every inference is an extractor of its own, as ncnn wants it."""

    def __init__(self) -> None:
        self._net: Any = None
        self._layers: List[Layer] = []
        self._half_weights = 0
        self._arrays: List[Any] = []
        self._mats: List[Tuple[int, Any]] = []
        self._outputs: List[Tuple[int, Any]] = []

    def probe(self) -> Probe:
        """Run an inner product and check its result."""
        try:
            ncnn = _import()
            import numpy as np
        except ImportError as error:
            return Probe(available=False, reason="cannot be imported: %s" % error)
        version = str(ncnn.__version__)
        try:
            found = tiny.run(Ncnn(), tiny.NCNN)
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything; it is the answer
            return Probe(available=False, version=version, reason="a tiny model does not run: %s" % error)
        wrong = tiny.complain(found)
        if wrong is not None:
            return Probe(available=False, version=version, reason=wrong)
        half = "yes" if ncnn_profile.half_possible(ncnn) else "no"
        details = {"fp16_arithmetic": half, "numpy": np.__version__}
        return Probe(available=True, version=version, formats=("ncnn",), details=details)

    def load(self, options: LoadOptions) -> None:
        """Load the bundle for `options.threads` threads; FP16 is asked for where the weights are stored so."""
        if os.path.getsize(options.model) == 0:
            raise InferenceError(
                "model.empty", "found a file of 0 bytes, expected a bundle of %s and %s" % _MEMBERS
            )
        if options.batch != 1:
            raise InferenceError(
                "batch.fixed", "found batch %d, expected 1: ncnn takes one at a time" % options.batch
            )
        param, weights = unpack(options.model, options.scratch, _MEMBERS)
        try:
            self._load(param, weights, options.threads)
        finally:
            os.remove(param)
            os.remove(weights)

    def _load(self, param: str, weights: str, threads: int) -> None:
        ncnn = _import()
        with open(param, "rb") as file:
            layers = ncnn_param.parse(file.read())
        _check_layers(ncnn, layers)
        with open(weights, "rb") as file:
            self._half_weights, _ = ncnn_param.count_tags(file.read())
        net = ncnn.Net()
        _set(net.opt, threads, half=self._half_weights > 0)
        with overheard() as said:
            failed = net.load_param(param) or net.load_model(weights)
        if failed:
            raise InferenceError("model.invalid", "ncnn refuses the files: %s" % ("; ".join(said) or failed))
        self._net, self._layers = net, layers

    def inputs(self) -> List[TensorSpec]:
        """Tell the param's inputs; ncnn does not check what comes in against them."""
        return [TensorSpec(name, "float32", shape) for name, shape in ncnn_param.inputs(self._layers)]

    def bind(self, arrays: List[Any]) -> Callable[[], List[Any]]:
        """Wrap the arrays' own memory, without the batch of one, and keep it alive: a Mat does not."""
        ncnn = _import()
        self._arrays = [array[0] for array in arrays]
        self._mats = list(zip(self._net.input_indexes(), [ncnn.Mat(array) for array in self._arrays]))
        self._outputs = [(index, ncnn.Mat()) for index in self._net.output_indexes()]
        return lambda: [mat.numpy().copy()[None] for _, mat in self._outputs]

    def invoke(self) -> None:
        """Run once: ncnn computes what the outputs need when they are extracted."""
        extractor = self._net.create_extractor()
        for index, mat in self._mats:
            extractor.input(index, mat)
        for index, mat in self._outputs:
            failed = extractor.extract(index, mat)
            if failed:
                raise InferenceError("runtime.error", "ncnn gives %d for an output" % failed)

    def effective_precision(self) -> Tuple[str, str]:
        """Weigh each layer's arithmetic, as ncnn's own flags tell it, by the layer's time."""
        return ncnn_profile.describe(self.profile(), self._arithmetic(), self._half_weights)

    def profile(self) -> OperatorProfile:
        """Time each layer on what is bound."""
        if self._net is None or not self._mats:
            raise InferenceError("runtime.order", "found no bound input, expected load and bind before this")
        arithmetic = self._arithmetic()
        precisions = [
            ncnn_profile.layer_precision(layer, arithmetic, supports_half=bool(loaded.support_fp16_storage))
            for layer, loaded in zip(self._layers, self._net.layers())
        ]
        seconds = ncnn_profile.time_layers(self._net, dict(self._mats), self._layers, _PROFILE_RUNS)
        return ncnn_profile.operators(self._layers, precisions, seconds, _PROFILE_RUNS)

    def _arithmetic(self) -> Arithmetic:
        option = self._net.opt
        return Arithmetic(
            half_asked=bool(option.use_fp16_storage and option.use_fp16_arithmetic),
            half_possible=ncnn_profile.half_possible(_import()),
            int8_allowed=bool(option.use_int8_inference),
        )

    def close(self) -> None:
        """Let the net and what it made go."""
        self._mats, self._outputs, self._arrays = [], [], []
        self._net = None


def _import() -> Any:
    """Import ncnn with threads that soon sleep; what the user has set for OpenMP stands."""
    if os.uname().machine in _PAUSING and "OMP_WAIT_POLICY" not in os.environ and "ncnn" not in sys.modules:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_TURNS)
    import ncnn

    return ncnn


def _set(option: Any, threads: int, *, half: bool) -> None:
    """Set what ncnn would choose by itself: it takes FP16 wherever it can, whatever the file says.

    Its own choice of cores (set_cpu_powersave) is left alone: the worker is confined already.
    """
    option.num_threads = threads
    option.use_vulkan_compute = False
    option.use_bf16_storage = False
    option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = half
    if hasattr(option, "use_bf16_packed"):
        option.use_bf16_packed = False


def _check_layers(ncnn: Any, layers: Sequence[Layer]) -> None:
    """Refuse layers that this ncnn does not have: it would load the rest, and crash at the first inference."""
    missing: Dict[str, str] = {}
    for layer in layers:
        if ncnn.layer_to_index(layer.type) < 0:
            missing.setdefault(layer.type, layer.name)
    if missing:
        found = ", ".join("%s (%s)" % pair for pair in sorted(missing.items()))
        raise InferenceError("model.operator", "found layer types that this ncnn does not have: %s" % found)
