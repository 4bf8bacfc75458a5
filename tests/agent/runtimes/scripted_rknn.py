"""Stand-ins for rknn-toolkit-lite2 and rknn-toolkit2: scripted, with their calls and return codes; no NPU, no build.

The files are shaped like those of rknn-toolkit2 2.5.0.
"""

from __future__ import annotations

import json
import zipfile
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def file_bytes(*, kind: str = "int8", target: str = "rk3588") -> bytes:
    """Return what an .rknn file begins and ends with."""
    tensors = [
        {"dim_num": 4, "dtype": {"vx_type": kind}, "size": [1, 3, 8, 8], "tensor_id": 0, "url": "images"},
        {"dim_num": 2, "dtype": {"vx_type": kind}, "size": [1, 10], "tensor_id": 1, "url": "output"},
    ]
    text = {
        "connection": [],
        "graph": [
            {"left": "input", "left_tensor_id": 0, "right": "norm_tensor", "right_tensor_id": 0},
            {"left": "output", "left_tensor_id": 0, "right": "norm_tensor", "right_tensor_id": 1},
        ],
        "norm_tensor": tensors,
        "target_platform": [target],
        "version": "2.5.0",
    }
    return b"RKNN" + bytes(60) + b"scripted, nothing to run" + json.dumps(text).encode()


def bundle(path: Path, members: dict[str, bytes]) -> Path:
    """Write a bundle."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


class RKNNLite:
    """The calls that the plugin makes."""

    load_answer = init_answer = 0
    made: list[RKNNLite] = []  # noqa: RUF012 - what a test looks at

    def __init__(self, *, verbose: bool) -> None:
        assert not verbose
        self.core_mask: int | None = None
        self.released = False
        RKNNLite.made.append(self)

    def load_rknn(self, path: str) -> int:
        with open(path, "rb") as file:  # noqa: PTH123 - as a worker would
            assert file.read(4) == b"RKNN"
        return self.load_answer

    def init_runtime(self, core_mask: int = 0) -> int:
        self.core_mask = core_mask
        return self.init_answer

    def inference(self, inputs: list[Any], data_format: list[str | None]) -> list[Any] | None:
        if inputs[0].shape != (1, 3, 8, 8):
            return None
        assert data_format == ["nchw"]
        return [np.full((1, 10), inputs[0].sum(), np.float32)]

    def release(self) -> None:
        self.released = True


class RKNN:
    """The toolkit's calls, kept in order; `fail` names the one that does not succeed."""

    fail = ""
    calls: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012 - what a test looks at

    def __init__(self, *, verbose: bool) -> None:
        assert not verbose

    def _call(self, name: str, **arguments: Any) -> int:
        RKNN.calls.append((name, arguments))
        return -1 if name == self.fail else 0

    def config(self, **arguments: Any) -> int:
        return self._call("config", **arguments)

    def load_onnx(
        self, model: str, inputs: list[str] | None = None, input_size_list: list[list[int]] | None = None
    ) -> int:
        return self._call("load_onnx", model=model, inputs=inputs, sizes=input_size_list)

    def build(self, *, do_quantization: bool) -> int:
        return self._call("build", do_quantization=do_quantization)

    def hybrid_quantization_step2(
        self, model_input: str, data_input: str, model_quantization_cfg: str
    ) -> int:
        arguments = {"model": model_input, "data": data_input, "table": model_quantization_cfg}
        return self._call("hybrid_quantization_step2", **arguments)

    def init_runtime(self) -> int:
        return self._call("init_runtime")

    def inference(self, inputs: list[Any], data_format: list[str | None]) -> list[Any]:
        assert data_format == ["nchw"]
        return [inputs[0].sum(axis=(1, 2, 3))]

    def release(self) -> None:
        self._call("release")


def install(monkeypatch: Any) -> None:
    """Put both packages in place."""
    RKNN.fail, RKNN.calls, RKNNLite.made = "", [], []
    RKNNLite.load_answer = RKNNLite.init_answer = 0
    for package, attribute, kind in (("rknnlite", "RKNNLite", RKNNLite), ("rknn", "RKNN", RKNN)):
        api: Any = ModuleType(f"{package}.api")
        setattr(api, attribute, kind)
        parent: Any = ModuleType(package)
        parent.api = api
        monkeypatch.setitem(__import__("sys").modules, package, parent)
        monkeypatch.setitem(__import__("sys").modules, f"{package}.api", api)
