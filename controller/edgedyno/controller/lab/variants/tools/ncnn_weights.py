"""The arrays of an ncnn `.bin` file, layer by layer, and back.

The file has no index: which arrays a layer has, and how long they are, follows from its type and parameters
(read from the `load_model` of ncnn's layers, release 20260526). What the arrays are for is not known here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgedyno.controller.lab.variants.tools.toolkit import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgedyno.controller.lab.variants.tools.ncnn_param import Graph, Layer

# The four bytes before an array that may be stored in several ways (src/modelbin.cpp).
_TAGS = {"fp32": 0, "fp16": 0x01306B47, "int8": 0x000D4B38}
_TAG_FP32_AS_IS = 0x0002C056
_STORED: dict[str, np.dtype[Any]] = {
    "fp32": np.dtype("<f4"),
    "fp16": np.dtype("<f2"),
    "int8": np.dtype("i1"),
    "raw": np.dtype("<f4"),
}
_FP16_MAX = 65504.0


class Slot(NamedTuple):
    """An array that a layer has; a tagged one says itself how it is stored, others are plain FP32."""

    name: str
    length: int
    tagged: bool = False


class Array(NamedTuple):
    """The values, and how they lie in the file: fp32, fp16 or int8 behind a tag, or raw."""

    values: NDArray[Any]
    storage: str


Weights = dict[str, Array]


def _convolution(layer: Layer) -> list[Slot]:
    if layer.integer(19) and layer.type in {"Convolution", "ConvolutionDepthWise", "Convolution1D"}:
        return []
    scales = layer.integer(7, 1) if "DepthWise" in layer.type else layer.integer(0)
    return [
        Slot("weight", layer.integer(6), tagged=True),
        *_bias(layer, 5),
        *_int8_scales(layer, scales),
    ]


def _deconvolution(layer: Layer) -> list[Slot]:
    if layer.integer(28):
        return []
    return [Slot("weight", layer.integer(6), tagged=True), *_bias(layer, 5)]


def _inner_product(layer: Layer) -> list[Slot]:
    outputs = layer.integer(0)
    return [
        Slot("weight", layer.integer(2), tagged=True),
        *_bias(layer, 1),
        *_int8_scales(layer, outputs),
    ]


def _bias(layer: Layer, key: int) -> list[Slot]:
    return [Slot("bias", layer.integer(0))] if layer.integer(key) else []


def _int8_scales(layer: Layer, weight_scales: int) -> list[Slot]:
    term = layer.integer(8)
    if not term:
        return []
    # A depthwise layer with term 2 has one scale for all its weights.
    count = 1 if layer.type == "ConvolutionDepthWise" and term % 100 == 2 else weight_scales  # noqa: PLR2004
    slots = [Slot("weight_scales", count), Slot("bottom_scale", 1)]
    return [*slots, Slot("top_scale", 1)] if term > REQUANTIZED else slots


REQUANTIZED = 100
"""`int8_scale_term` above this says that the output is integer too."""


def _embed(layer: Layer) -> list[Slot]:
    bias = [Slot("bias", layer.integer(0))] if layer.integer(2) else []
    scale = [Slot("weight_scales", 1)] if layer.integer(18) else []
    return [Slot("weight", layer.integer(3), tagged=True), *bias, *scale]


def _gemm(layer: Layer) -> list[Slot]:
    rows, columns, inner = (layer.integer(key) for key in (7, 8, 9))
    broadcast = {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}
    slots = []
    if layer.integer(4):
        slots.append(Slot("a", rows * inner, tagged=True))
    if layer.integer(5):
        slots.append(Slot("b", columns * inner, tagged=True))
    if layer.integer(6) and layer.integer(10) in broadcast:
        slots.append(Slot("c", broadcast[layer.integer(10)], tagged=True))
    return slots


def _attention(layer: Layer) -> list[Slot]:
    width, size = layer.integer(0), layer.integer(2)
    query = size // width
    slots = []
    for name, count in (
        ("q", size),
        ("k", width * layer.integer(3, width)),
        ("v", width * layer.integer(4, width)),
    ):
        slots += [Slot(f"{name}_weight", count, tagged=True), Slot(f"{name}_bias", width)]
    return [*slots, Slot("out_weight", size, tagged=True), Slot("out_bias", query)]


def _recurrent(gates: int) -> Callable[[Layer], list[Slot]]:
    bias_rows = {1: 1, 3: 4, 4: 4}[gates]

    def slots(layer: Layer) -> list[Slot]:
        outputs, size = layer.integer(0), layer.integer(1)
        directions = 2 if layer.integer(2) == 2 else 1  # noqa: PLR2004 - ncnn's number for both directions
        hidden = layer.integer(3, outputs) if layer.type == "LSTM" else outputs
        found = [
            Slot("weight_xc", size, tagged=True),
            Slot("bias_c", hidden * bias_rows * directions, tagged=True),
            Slot("weight_hc", outputs * hidden * gates * directions, tagged=True),
        ]
        if hidden != outputs:
            found.append(Slot("weight_hr", hidden * outputs * directions, tagged=True))
        return found

    return slots


def _memory(layer: Layer) -> list[Slot]:
    sides = [layer.integer(key) for key in (0, 1, 11, 2)]
    count = int(np.prod([side for side in sides if side])) if any(sides) else 0
    return [Slot("data", count, tagged=layer.integer(21, 1) == 0)] if count else []


def _plain(*names: str, count: int, unless: int | None = None) -> Callable[[Layer], list[Slot]]:
    """Describe layers with arrays of one length, the parameter `count`, absent where `unless` is 0."""

    def slots(layer: Layer) -> list[Slot]:
        if unless is not None and not layer.integer(unless, 1):
            return []
        return [Slot(name, layer.integer(count)) for name in names if layer.integer(count) > 0]

    return slots


def _scale(layer: Layer) -> list[Slot]:
    count = layer.integer(0)
    if count <= 0:  # -233: the scale is an input
        return []
    return [Slot("scale", count), Slot("bias", count)] if layer.integer(1) else [Slot("scale", count)]


_LAYOUTS: dict[str, Callable[[Layer], list[Slot]]] = {
    **dict.fromkeys(
        (
            "Convolution",
            "ConvolutionDepthWise",
            "Convolution1D",
            "ConvolutionDepthWise1D",
            "Convolution3D",
            "ConvolutionDepthWise3D",
            "DeformableConv2D",
        ),
        _convolution,
    ),
    **dict.fromkeys(
        (
            "Deconvolution",
            "DeconvolutionDepthWise",
            "Deconvolution1D",
            "DeconvolutionDepthWise1D",
            "Deconvolution3D",
            "DeconvolutionDepthWise3D",
        ),
        _deconvolution,
    ),
    "InnerProduct": _inner_product,
    "Embed": _embed,
    "Gemm": _gemm,
    "MultiHeadAttention": _attention,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
    "MemoryData": _memory,
    "BatchNorm": _plain("slope", "mean", "variance", "bias", count=0),
    "Bias": _plain("bias", count=0),
    "GroupNorm": _plain("gamma", "beta", count=1, unless=3),
    "InstanceNorm": _plain("gamma", "beta", count=0, unless=2),
    "LayerNorm": _plain("gamma", "beta", count=0, unless=2),
    "RMSNorm": _plain("gamma", count=0, unless=2),
    "Normalize": _plain("scale", count=3),
    "Padding": _plain("values", count=6),
    "PReLU": _plain("slope", count=0),
    "Quantize": _plain("scale", count=0),
    "Scale": _scale,
}


def read_weights(graph: Graph, data: bytes) -> list[Weights]:
    """Return the arrays of each layer of the graph. Raises BuildError (ncnn.bin) where the two do not fit."""
    reader = _Reader(data)
    found = [{slot.name: reader.read(layer, slot) for slot in _slots(layer)} for layer in graph.layers]
    if reader.offset != len(data):
        raise BuildError(
            "ncnn.bin",
            f"the .bin has {len(data)} bytes, the layers of the .param account for {reader.offset}",
        )
    return found


def _slots(layer: Layer) -> list[Slot]:
    layout = _LAYOUTS.get(layer.type)
    return layout(layer) if layout else []


class _Reader:
    """Walks through the file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    def read(self, layer: Layer, slot: Slot) -> Array:
        """Return the next array, and step behind it."""
        storage = self._storage(layer) if slot.tagged else "raw"
        dtype = _STORED[storage]
        size = slot.length * dtype.itemsize
        if self.offset + size > len(self._data):
            raise BuildError("ncnn.bin", f"the .bin ends within layer {layer.name} ({layer.type})")
        values = np.frombuffer(self._data, dtype, slot.length, self.offset)
        self.offset += _aligned(size)
        return Array(values if storage == "int8" else values.astype(np.float32), storage)

    def _storage(self, layer: Layer) -> str:
        head = self._data[self.offset : self.offset + 4]
        if len(head) < 4:  # noqa: PLR2004 - bytes of the tag
            raise BuildError("ncnn.bin", f"the .bin ends before layer {layer.name} ({layer.type})")
        (tag,) = struct.unpack("<I", head)
        self.offset += 4
        if tag == _TAG_FP32_AS_IS:
            return "fp32"
        for storage, known in _TAGS.items():
            if tag == known:
                return storage
        raise BuildError(
            "ncnn.bin",
            f"found tag 0x{tag:08X} before layer {layer.name} ({layer.type}), expected FP32, FP16 or INT8",
        )


def _aligned(size: int) -> int:
    return (size + 3) // 4 * 4


def write_weights(weights: list[Weights]) -> bytes:
    """Return the file that holds the arrays in their order."""
    return b"".join(_bytes_of(array) for layer in weights for array in layer.values())


def _bytes_of(array: Array) -> bytes:
    body: bytes = array.values.astype(_STORED[array.storage]).tobytes()
    body += bytes(_aligned(len(body)) - len(body))
    return body if array.storage == "raw" else struct.pack("<I", _TAGS[array.storage]) + body


def in_half_precision(weights: list[Weights]) -> list[Weights]:
    """Return the arrays with weights in FP16 where they were in FP32 and FP16 can hold them."""
    return [{name: _halved(array) for name, array in layer.items()} for layer in weights]


def _halved(array: Array) -> Array:
    if array.storage != "fp32" or not np.all(np.abs(array.values) <= _FP16_MAX):
        return array
    return array._replace(storage="fp16")
