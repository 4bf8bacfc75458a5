"""What numbers an ONNX file computes with, read from the file itself: workers have no ONNX package.

Walks the protobuf by its wire format (protobuf.dev, "Encoding") and skips what it does not need. Field numbers
are those of onnx.proto: model.graph 7, graph.node 1, graph.initializer 5, node.op_type 4, node.attribute 5,
attribute.t 5, tensor.data_type 2.
"""

import mmap
from typing import Iterator, List, NamedTuple, Optional, Tuple, Union

from edgedyno.agent.runtimes.base import TensorSpec

_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5
_HALF = 10  # TensorProto.FLOAT16
_QUANTIZING = (b"QuantizeLinear", b"DequantizeLinear")
_Field = Tuple[int, Union[int, Tuple[int, int]]]


class Numbers(NamedTuple):
    """Whether weights are stored as FP16, and whether values are quantized on the way."""

    half: bool
    quantized: bool


def read_numbers(path: str) -> Numbers:
    """Read which numbers the file's graph has; a file that is no ONNX model has neither."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            graphs = list(_messages(data, (0, len(data)), 7))
            half = any(_is_half(data, tensor) for graph in graphs for tensor in _tensors(data, graph))
            quantized = any(
                _is_quantizing(data, node) for graph in graphs for node in _messages(data, graph, 1)
            )
        except (IndexError, ValueError):
            return Numbers(half=False, quantized=False)
    return Numbers(half, quantized)


def _tensors(data: mmap.mmap, graph: Tuple[int, int]) -> Iterator[Tuple[int, int]]:
    """Give the graph's constants: initializers, and those in nodes."""
    yield from _messages(data, graph, 5)
    for node in _messages(data, graph, 1):
        for attribute in _messages(data, node, 5):
            yield from _messages(data, attribute, 5)


def _is_half(data: mmap.mmap, tensor: Tuple[int, int]) -> bool:
    return any(number == 2 and value == _HALF for number, value in _fields(data, tensor))  # noqa: PLR2004


def _is_quantizing(data: mmap.mmap, node: Tuple[int, int]) -> bool:
    return any(data[start:end] in _QUANTIZING for start, end in _messages(data, node, 4))


def _messages(data: mmap.mmap, span: Tuple[int, int], wanted: int) -> Iterator[Tuple[int, int]]:
    """Give where each field `wanted` that is counted in bytes begins and ends."""
    for number, value in _fields(data, span):
        if number == wanted and isinstance(value, tuple):
            yield value


def _fields(data: mmap.mmap, span: Tuple[int, int]) -> Iterator[_Field]:
    place, end = span
    while place < end:
        key, place = _varint(data, place)
        kind = key & 7
        if kind == _VARINT:
            number, place = _varint(data, place)
            yield key >> 3, number
        elif kind == _COUNTED:
            length, place = _varint(data, place)
            if place + length > end:
                raise ValueError("a field ends beyond its message")
            yield key >> 3, (place, place + length)
            place += length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            place += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("found wire type %d, expected 0, 1, 2 or 5" % kind)


def _varint(data: mmap.mmap, place: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follow
            return value, place
        shift += 7


_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}


def read_inputs(path: str) -> List[TensorSpec]:
    """Read the graph's inputs, constants among them left out; a dimension with a name or without size is free.

    Field numbers: graph.input 11, initializer.name 8, value_info name 1 and type 2, type.tensor_type 1,
    tensor_type.elem_type 1 and shape 2, shape.dim 1, dim.dim_value 1.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        graphs = list(_messages(data, (0, len(data)), 7))
        constants = {
            _text(data, name)
            for graph in graphs
            for each in _messages(data, graph, 5)
            for name in _messages(data, each, 8)
        }
        found = [_input(data, each) for graph in graphs for each in _messages(data, graph, 11)]
    return [spec for spec in found if spec.name not in constants]


def _input(data: mmap.mmap, span: Tuple[int, int]) -> TensorSpec:
    name = "".join(_text(data, each) for each in _messages(data, span, 1))
    dtype, sizes = "unknown", []
    for kind in _messages(data, span, 2):
        for tensor in _messages(data, kind, 1):
            codes = [
                value for number, value in _fields(data, tensor) if number == 1 and isinstance(value, int)
            ]
            dtype = _DTYPES.get(codes[-1], "unknown") if codes else dtype
            for shape in _messages(data, tensor, 2):
                sizes = [_size(data, each) for each in _messages(data, shape, 1)]
    return TensorSpec(name, dtype, tuple(sizes))


def _size(data: mmap.mmap, span: Tuple[int, int]) -> Optional[int]:
    told = [value for number, value in _fields(data, span) if number == 1 and isinstance(value, int)]
    return told[0] if told and 0 < told[0] < _LARGEST else None


_LARGEST = 1 << 40  # negative sizes, which some exporters write for free ones, come as huge varints


def _text(data: mmap.mmap, span: Tuple[int, int]) -> str:
    return data[span[0] : span[1]].decode("utf-8", "replace")
