"""A graph of ncnn's, run by the ncnn module of the builder's interpreter: all of it, or blob by blob."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, read_graph
from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


class Network:
    """A loaded `.param` and `.bin`; in full FP32 where the file is not INT8."""

    def __init__(self, param: Path, binary: Path) -> None:
        graph = read_graph(param.read_text("utf-8"))
        check_layers(graph)
        ncnn: Any = importlib.import_module("ncnn")
        self._mat = ncnn.Mat
        self.input = _only_input(graph)
        self.outputs = graph.outputs()
        self._net = ncnn.Net()
        # One thread: a builder shares its machine, and sums do not depend on how work is divided.
        self._net.opt.num_threads = 1
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self._net.opt, option, False)
        if self._net.load_param(str(param)) != 0 or self._net.load_model(str(binary)) != 0:
            raise BuildError("ncnn.load", "ncnn does not load the .param and .bin that were made")

    def run(self, tensor: Floats) -> list[Floats]:
        """Return the outputs for one input, with its batch dimension or without."""
        return list(self.blobs(tensor, self.outputs))

    def blobs(self, tensor: Floats, names: Sequence[str]) -> Iterator[Floats]:
        """Compute these blobs one after the other, which must be the order in which they are produced.

        Each is valid until the next is asked for: ncnn frees what nothing needs any more.
        """
        values = np.ascontiguousarray(tensor[0] if tensor.ndim > 1 else tensor, np.float32)
        extractor = self._net.create_extractor()
        extractor.set_light_mode(True)
        if extractor.input(self.input, self._mat(values).clone()) != 0:
            raise BuildError("ncnn.run", f"ncnn does not take the input {self.input}")
        for name in names:
            status, mat = extractor.extract(name)
            if status != 0:
                raise BuildError("ncnn.run", f"ncnn cannot compute blob {name} (status {status})")
            # A copy: a view would keep in-place layers behind it from working in place.
            yield np.array(mat)
            del mat


def check_layers(graph: Graph) -> None:
    """Raise BuildError (variant.operator) for layers that ncnn does not have: it would crash on them."""
    ncnn: Any = importlib.import_module("ncnn")
    unknown = {layer.type: layer.name for layer in graph.layers if ncnn.layer_to_index(layer.type) < 0}
    if unknown:
        listed = ", ".join(f"{kind} (layer {name})" for kind, name in sorted(unknown.items()))
        raise BuildError(
            "variant.operator", f"ncnn has no layer for what pnnx leaves of the ONNX graph: {listed}"
        )


def _only_input(graph: Graph) -> str:
    names = [blob for layer in graph.inputs() for blob in layer.tops]
    if len(names) != 1:
        raise BuildError("variant.inputs", f"found inputs {', '.join(names) or 'none'}, expected one")
    return names[0]


def check_finite(outputs: Sequence[Floats]) -> None:
    """Raise BuildError (variant.not-finite) for NaN and infinities."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise BuildError(
            "variant.not-finite", "the variant was built, but computes infinities or NaN on the first image"
        )


def signal_to_noise(expected: Sequence[Floats], found: Sequence[Floats]) -> float:
    """Return the signal-to-noise ratio over all outputs together, in decibels; infinite where they are equal."""
    signal = sum(float(np.square(one, dtype=np.float64).sum()) for one in expected)
    noise = sum(
        float(np.square(one.astype(np.float64) - two).sum()) for one, two in zip(expected, found, strict=True)
    )
    return float(10 * np.log10(signal / noise)) if noise > 0 and signal > 0 else float("inf")
