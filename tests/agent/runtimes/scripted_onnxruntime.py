"""A stand-in for builds of ONNX Runtime with other execution providers: scripted, no inference happens here.

It answers with the names and the shapes of answers of the real module (1.31), and keeps what it was asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any


class Settings:
    """Session options as attributes and entries."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.enable_profiling = False
        self.profile_file_prefix = ""
        self.intra_op_num_threads = 0

    def add_session_config_entry(self, name: str, value: str) -> None:
        self.entries[name] = value


class Binding:
    """What was bound where."""

    def __init__(self) -> None:
        self.inputs: list[tuple[str, str]] = []
        self.outputs: list[tuple[str, str]] = []
        self.synchronized = 0

    def bind_ortvalue_input(self, name: str, value: tuple[Any, str]) -> None:
        self.inputs.append((name, value[1]))

    def bind_output(self, name: str, device: str, _: int = 0) -> None:
        self.outputs.append((name, device))

    def copy_outputs_to_cpu(self) -> list[Any]:
        return []

    def synchronize_outputs(self) -> None:
        self.synchronized += 1


class Port:
    """An input or output."""

    def __init__(self, name: str) -> None:
        self.name, self.type, self.shape = name, "tensor(float)", [1, 2]


class Outputs(list[Any]):
    """The tiny model's right answer."""

    def tolist(self) -> list[Any]:
        return list(self)


def build(
    provider: str, *, version: str = "1.31.1", starts: bool = True, kernels: list[Any] | None = None
) -> Any:
    """Return a module that has `provider`; `kernels` are (provider, operator) of its profile."""
    module: Any = ModuleType("onnxruntime")
    module.__version__ = version
    module.sessions = []
    module.disable_telemetry_events = lambda: None
    module.get_available_providers = lambda: [provider, "CPUExecutionProvider"]
    module.SessionOptions = Settings

    class OrtValue:
        @staticmethod
        def ortvalue_from_numpy(array: Any, device: str = "cpu", _: int = 0) -> tuple[Any, str]:
            return array, device

    class InferenceSession:
        def __init__(
            self, model: Any, settings: Settings, *, providers: list[Any], enable_fallback: int
        ) -> None:
            assert not enable_fallback
            self.settings, self.asked, self.binding = settings, providers, Binding()
            module.sessions.append(self)

        def get_providers(self) -> list[str]:
            return [provider, "CPUExecutionProvider"] if starts else ["CPUExecutionProvider"]

        def get_inputs(self) -> list[Port]:
            return [Port("x")]

        def get_outputs(self) -> list[Port]:
            return [Port("y")]

        def io_binding(self) -> Binding:
            return self.binding

        def run_with_iobinding(self, _: Binding) -> None:
            pass

        def run(self, _: None, feeds: dict[str, Any]) -> list[Outputs]:
            assert list(feeds) == ["x"]
            return [Outputs([[2.0, 3.0]])]

        def end_profiling(self) -> str:
            path = Path(self.settings.profile_file_prefix + ".json")
            ran = kernels if kernels is not None else [(provider, "MatMul")]
            path.write_text(json.dumps([_event(*kernel) for kernel in ran]))
            return str(path)

    module.InferenceSession, module.OrtValue = InferenceSession, OrtValue
    return module


def _event(provider: str, operator: str) -> dict[str, Any]:
    args = {"provider": provider, "op_name": operator, "input_type_shape": [{"float": [1, 2]}]}
    return {"cat": "Node", "name": f"{operator}_kernel_time", "dur": 10, "args": args}
