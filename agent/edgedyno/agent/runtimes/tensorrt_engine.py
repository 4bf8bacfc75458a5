"""From an ONNX file to a TensorRT engine: which precisions are allowed, one shape, and a cache of what was built.

Written for TensorRT 8.5 to 11. From 10 on networks are strongly typed: what the file says is what runs. Before,
FP16 and INT8 are allowed where the file has them. TF32, which TensorRT takes for FP32 by default, is off.
"""

import hashlib
import os
from typing import Any, List, Optional, Tuple

from edgedyno.agent.runtimes.base import InferenceError
from edgedyno.agent.runtimes.onnx_file import Numbers, read_numbers

# What TensorRT's parser and builder write, and what it means; the first that is found counts.
_FAILURES = (
    ("failed to parse onnx", "model.invalid"),
    ("failed to deserialize", "model.invalid"),
    ("failed to open", "model.invalid"),
    ("no importer registered", "model.operator"),
    ("unsupported", "model.operator"),
    ("not supported", "model.operator"),
    ("plugin not found", "model.operator"),
    ("zero point", "model.quantization"),
    ("symmetric", "model.quantization"),
    ("uint8", "model.quantization"),
    ("out of memory", "worker.memory"),
    ("outofmemory", "worker.memory"),
)
_QUANTIZATION = (
    "; TensorRT takes INT8 whose activations are int8 and symmetric about zero: in the model's profile "
    "quantize: {activations: int8, symmetric: true}"
)


def build_engine(trt: Any, logger: Any, model: str, *, batch: int, folder: str, gpu: str) -> Any:
    """Return the file's engine, from the cache in `folder` where it was built before for the same GPU.

    Raises InferenceError, with what TensorRT wrote.
    """
    runtime = trt.Runtime(logger)
    cached = os.path.join(folder, "tensorrt-%s.engine" % _key(model, trt.__version__, gpu, batch))
    if os.path.exists(cached):
        with open(cached, "rb") as file:
            engine = runtime.deserialize_cuda_engine(file.read())
        if engine is not None:
            return engine
    plan = compile_plan(trt, logger, model, read_numbers(model), batch)
    part = "%s.%d" % (cached, os.getpid())
    with open(part, "wb") as file:
        file.write(plan)
    os.replace(part, cached)
    return _loaded(runtime, plan, logger)


def _loaded(runtime: Any, plan: Any, logger: Any) -> Any:
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise _explain("the engine cannot be loaded", logger)
    return engine


def compile_plan(trt: Any, logger: Any, model: Any, numbers: Numbers, batch: int) -> Any:
    """Build the engine of a file, or of bytes, and return it serialized; raises InferenceError."""
    builder = trt.Builder(logger)
    strongly_typed = _strong_typing(trt)
    network = builder.create_network(_network_flags(trt, strongly_typed=strongly_typed))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse_from_file(model) if isinstance(model, str) else parser.parse(model)
    if not parsed:
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise _explain("; ".join(errors) or "the file cannot be parsed", logger)
    _fix_shapes(network, batch)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # else the inspector has names only
    config.clear_flag(trt.BuilderFlag.TF32)
    if not strongly_typed:
        if numbers.half:
            config.set_flag(trt.BuilderFlag.FP16)
        if numbers.quantized:
            config.set_flag(trt.BuilderFlag.INT8)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise _explain("the engine cannot be built", logger)
    return plan


def _strong_typing(trt: Any) -> bool:
    """Return whether this version keeps to the types of the file: flag from 10 on, and without one from 11 on."""
    return int(trt.__version__.split(".")[0]) >= 10  # noqa: PLR2004 - 9 had it for few platforms only


def _network_flags(trt: Any, *, strongly_typed: bool) -> int:
    """Return the flags that this version knows: 8 must be told of the explicit batch, 11 of nothing."""
    known = trt.NetworkDefinitionCreationFlag
    wanted = "STRONGLY_TYPED" if strongly_typed else "EXPLICIT_BATCH"
    return 1 << int(getattr(known, wanted)) if hasattr(known, wanted) else 0


def _fix_shapes(network: Any, batch: int) -> None:
    """Make a free first dimension the batch; raises InferenceError where another one is free."""
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = [int(size) for size in tensor.shape]
        if any(size < 0 for size in shape[1:]):
            text = (
                "found the input %r of shape %s, expected a fixed height and width: TensorRT builds for one"
            )
            raise InferenceError("model.shape", text % (tensor.name, ["any" if s < 0 else s for s in shape]))
        if shape and shape[0] < 0:
            tensor.shape = [batch, *shape[1:]]


def _key(model: str, version: str, gpu: str, batch: int) -> str:
    digest = hashlib.sha256()
    with open(model, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    digest.update(("\n%s\n%s\n%d" % (version, gpu, batch)).encode())
    return digest.hexdigest()[:24]


def make_logger(trt: Any) -> Any:
    """Return a logger that prints to stderr and keeps what went wrong, for the words of an error."""

    class Logger(trt.ILogger):  # type: ignore[misc] # the package is untyped
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Logger()


def _explain(what: str, logger: Any) -> InferenceError:
    """Put TensorRT's words under a code; its last error says the cause."""
    text = "; ".join([what, *getattr(logger, "errors", [])[-2:]])
    code = find_code(text)
    return InferenceError(
        code or "model.load", text + (_QUANTIZATION if code == "model.quantization" else "")
    )


def find_code(text: str) -> Optional[str]:
    """Return the code of the first sign that is found in what TensorRT wrote."""
    return next((code for sign, code in _FAILURES if sign in text.lower()), None)


def shape_of(engine: Any, name: str) -> Tuple[int, ...]:
    """Return a tensor's shape in the engine."""
    return tuple(int(size) for size in engine.get_tensor_shape(name))
