"""A stand-in for TensorRT and for the GPU's memory: scripted; no engine is built and nothing is computed.

It has the names and call forms of TensorRT's documentation for the version it is made with. Its one network
computes y = 2 x, on addresses in a dictionary.
"""

from __future__ import annotations

import json
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

SHAPE = (1, 2)


class Memory:
    """Stands in for `Cuda`: arrays by address."""

    arrays: dict[int, np.ndarray[Any, Any]] = {}  # noqa: RUF012 - one GPU

    def __init__(self) -> None:
        self.stream = 4242
        self.synchronized = 0

    def allocate(self, size_bytes: int) -> int:
        address = 1000 + len(Memory.arrays)
        Memory.arrays[address] = np.zeros(size_bytes // 4, np.float32)
        return address

    def to_device(self, address: int, array: np.ndarray[Any, Any]) -> None:
        Memory.arrays[address] = array.ravel().copy()

    def to_host(self, array: np.ndarray[Any, Any], address: int) -> None:
        array[...] = Memory.arrays[address].reshape(array.shape)

    def synchronize(self) -> None:
        self.synchronized += 1

    def free(self) -> None:
        Memory.arrays = {}


LAYERS = [
    {
        "Name": "conv",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "x", "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}],
        "TacticName": "sm80_xmma_fprop_implicit_gemm_f16f16",
    },
    {
        "Name": "reformat",
        "LayerType": "Reformat",
        "Inputs": [{"Name": "x", "Format/Datatype": "Row major linear FP32"}],
    },
    {
        "Name": "tail",
        "LayerType": "PointWiseV2",
        "Inputs": [{"Name": "c", "Format/Datatype": "Row major linear FP32"}],
        "TacticName": "generated",
    },
]
MILLISECONDS = {"conv": 0.6, "reformat": 0.1, "tail": 0.3}


class TensorIOMode(IntEnum):
    """What a tensor is to the engine."""

    INPUT = 0
    OUTPUT = 1


class Severity(IntEnum):
    """How bad a message is."""

    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class ILogger:
    """Base of loggers."""

    Severity = Severity

    def __init__(self) -> None:
        pass


class IProfiler:
    """Base of profilers."""

    def __init__(self) -> None:
        pass


class Context:
    """An execution context."""

    def __init__(self, *, refuses: bool) -> None:
        self.addresses: dict[str, int] = {}
        self.profiler: Any = None
        self.refuses = refuses

    def get_tensor_shape(self, _: str) -> tuple[int, ...]:
        return SHAPE

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 4242
        Memory.arrays[self.addresses["y"]] = 2 * Memory.arrays[self.addresses["x"]]
        if self.profiler is not None:
            for name, milliseconds in MILLISECONDS.items():
                self.profiler.report_layer_time(name, milliseconds)
        return not self.refuses


def build(  # noqa: C901 - one module, with all that the plugin asks of it
    version: str = "10.7.0",
    *,
    errors: list[str] | None = None,
    no_plan: str = "",
    shape: tuple[int, ...] = SHAPE,
    refuses: bool = False,
) -> Any:
    """Return a module of that version; `errors` are the parser's, `no_plan` what the builder logs and fails of."""
    major = int(version.split(".", maxsplit=1)[0])
    trt: Any = ModuleType("tensorrt")
    trt.__version__ = version
    trt.asked = SimpleNamespace(network_flags=None, flags=set(), cleared=set(), built=0, shape=None)
    names = {8: ["EXPLICIT_BATCH"], 10: ["EXPLICIT_BATCH", "STRONGLY_TYPED"]}.get(major, [])
    trt.NetworkDefinitionCreationFlag = SimpleNamespace(**{name: index for index, name in enumerate(names)})
    precisions = {"FP16": 0, "INT8": 1} if major < 11 else {}
    trt.BuilderFlag = SimpleNamespace(TF32=9, **precisions)
    trt.ProfilingVerbosity = SimpleNamespace(DETAILED=2)
    trt.LayerInformationFormat = SimpleNamespace(JSON=1)
    trt.TensorIOMode = TensorIOMode

    class Builder:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def create_network(self, flags: int) -> Any:
            trt.asked.network_flags = flags
            tensor = SimpleNamespace(name="x", shape=shape)
            trt.asked.tensor = tensor
            return SimpleNamespace(num_inputs=1, get_input=lambda _: tensor)

        def create_builder_config(self) -> Any:
            return SimpleNamespace(set_flag=trt.asked.flags.add, clear_flag=trt.asked.cleared.add)

        def build_serialized_network(self, _network: Any, _config: Any) -> bytes | None:
            trt.asked.built += 1
            if no_plan:
                self.logger.log(ILogger.Severity.ERROR, no_plan)
                self.logger.log(ILogger.Severity.WARNING, "nothing of note")
            return None if no_plan else b"plan"

    class OnnxParser:
        def __init__(self, _network: Any, _logger: Any) -> None:
            self.num_errors = len(errors or [])

        def parse(self, _: bytes) -> bool:
            return not errors

        def parse_from_file(self, _: str) -> bool:
            return not errors

        def get_error(self, index: int) -> Any:
            return SimpleNamespace(desc=lambda: (errors or [])[index])

    class Engine:
        num_io_tensors = 2

        def create_execution_context(self) -> Context:
            return Context(refuses=refuses)

        def get_tensor_name(self, index: int) -> str:
            return "xy"[index]

        def get_tensor_mode(self, name: str) -> Any:
            return TensorIOMode.INPUT if name == "x" else TensorIOMode.OUTPUT

        def get_tensor_dtype(self, _: str) -> Any:
            return np.float32

        def get_tensor_shape(self, _: str) -> tuple[int, ...]:
            return SHAPE

        def create_engine_inspector(self) -> Any:
            return SimpleNamespace(get_engine_information=lambda _: json.dumps({"Layers": LAYERS}))

    class Runtime:
        def __init__(self, _logger: Any) -> None:
            pass

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            return Engine() if plan == b"plan" else None

    trt.ILogger, trt.IProfiler, trt.Builder, trt.OnnxParser, trt.Runtime = (
        ILogger,
        IProfiler,
        Builder,
        OnnxParser,
        Runtime,
    )
    trt.init_libnvinfer_plugins = lambda _logger, _namespace: True
    trt.nptype = lambda dtype: dtype
    return trt
