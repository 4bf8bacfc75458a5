"""From ONNX to ncnn by pnnx, the converter that ncnn's own project keeps and ships in the `pnnx` wheel.

The wheel holds a program of its own that reads ONNX; its Python module would import torch and is not used. What
pnnx leaves of ONNX where ncnn has no layer is rewritten by `ncnn_repair`.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.controller.lab.variants.tools.ncnn_model import Files, Model
from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer
from edgedyno.controller.lab.variants.tools.ncnn_repair import read_leftovers, repair
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_SECONDS = 900
# Which parameter of ncnn's Input layer holds a dimension, from the last dimension on.
_SIDES = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: (0, 1, 11, 2)}


def convert(source: str, input_shape: Sequence[int], scratch: Path) -> Model:
    """Return the ONNX file as ncnn's graph, in FP32, with the input's size in it.

    Raises BuildError: variant.convert where pnnx gives up, variant.inputs for several inputs or a batch.
    """
    if not input_shape or input_shape[0] != 1 or any(side < 1 for side in input_shape):
        raise BuildError(
            "variant.inputs", f"found an input of {list(input_shape)}, expected a batch of 1 and fixed sizes"
        )
    folder = scratch / "pnnx"
    folder.mkdir()
    # pnnx writes beside what it reads, under names that it derives.
    shutil.copyfile(source, folder / "model.onnx")
    log = _run_pnnx(folder, input_shape)
    converted = folder / "model.ncnn"
    if not all(Path(f"{converted}{ending}").is_file() for ending in (".param", ".bin")):
        raise BuildError("variant.convert", f"pnnx did not convert the model: {_reason(log)}")
    leftovers = read_leftovers((folder / "model.pnnx.param").read_text("utf-8"))
    graph, weights = repair(*Files(converted).read(), leftovers)
    return Model(_with_input_size(graph, input_shape), weights)


def _run_pnnx(folder: Path, input_shape: Sequence[int]) -> str:
    shape = ",".join(str(side) for side in input_shape)
    command = [_program(), "model.onnx", f"inputshape=[{shape}]", "fp16=0"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_SECONDS,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        text = f"pnnx was ended after {TIMEOUT_SECONDS} s"
        raise BuildError("variant.timeout", text) from error
    if done.returncode < 0:
        raise BuildError("variant.convert", f"pnnx died of signal {-done.returncode}: {_reason(done.stdout)}")
    return done.stdout


def _program() -> str:
    """Return pnnx's path. Raises ImportError where the wheel is not installed."""
    spec = importlib.util.find_spec("pnnx")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("pnnx", "pnnx.exe"):
            if (Path(folder) / name).is_file():
                return str(Path(folder) / name)
    raise ModuleNotFoundError("pnnx", name="pnnx")


def _reason(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith("#")]
    return lines[-1][:300] if lines else "it said nothing"


def _with_input_size(graph: Graph, input_shape: Sequence[int]) -> Graph:
    """Write the input's width, height and channels into the graph, for what loads it to know."""
    inputs = graph.inputs()
    if len(inputs) != 1:
        names = ", ".join(layer.name for layer in inputs) or "none"
        raise BuildError("variant.inputs", f"found inputs {names} in the converted model, expected one")
    sides = list(reversed(input_shape[1:])) or [1]
    if len(sides) not in _SIDES:
        raise BuildError("variant.inputs", f"found an input of {list(input_shape)}, ncnn has four dimensions")
    # Channels come last among the parameters, height before depth.
    size = dict(zip(_SIDES[len(sides)], sides, strict=True))
    return Graph([_sized(layer, size) if layer.type == "Input" else layer for layer in graph.layers])


def _sized(layer: Layer, size: dict[int, int]) -> Layer:
    return layer.with_params(size)
