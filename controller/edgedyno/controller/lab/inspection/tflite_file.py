"""TFLite files, read as the flatbuffers that they are.

Source: TensorFlow's schema.fbs, version 3: the numbers of fields, types and operators.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgedyno.controller.lab.inspection.flatbuffer import Damaged, Table
from edgedyno.controller.lab.inspection.model import Inspection, Tensor, Trip, layout_of, precision_of
from edgedyno.controller.lab.inspection.tflite_operators import NAMES
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8",
    "float64", "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16",
)  # fmt: skip
_CUSTOM = 32
_COMPUTING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_INTEGER = ("int8", "uint8", "int16")


def inspect_tflite(path: Path) -> Inspection:
    """Read a TFLite file. Raises ConfigError (model.damaged)."""
    data = path.read_bytes()
    try:
        return _inspect(path, data)
    except Damaged as error:
        raise ConfigError(
            f"{path}: a TFLite file that was cut short or changed: {error}", code="model.damaged"
        ) from error


def _inspect(path: Path, data: bytes) -> Inspection:
    model = Table.root(data)
    graphs = list(model.tables(2))
    if not graphs:
        raise Damaged("found no graph")
    graph = graphs[0]
    codes = [_operator_name(code) for code in model.tables(1)]
    tensors = list(graph.tables(0))
    used = [(codes[operator.integer(0, "<I")], operator) for operator in graph.tables(3)]
    types = Counter(name for name, _ in used)
    inputs = [_tensor(tensors[int(index)]) for index in graph.numbers(1)]
    outputs = [_tensor(tensors[int(index)]) for index in graph.numbers(2)]
    weights = _weights(model, tensors)
    return Inspection(
        format="tflite",
        files=[path.name],
        size_bytes=len(data),
        inputs=inputs,
        outputs=outputs,
        operators=len(used),
        operator_types=dict(types.most_common()),
        version=f"schema {model.integer(0, '<I')}",
        weights=weights,
        precision=precision_of(weights),
        quantization=_quantization(used, tensors, inputs, weights),
        trips=_trips(inputs, outputs, tensors, types, len(graphs)),
    )


def _operator_name(code: Table) -> str:
    number = max(code.integer(0, "<b"), code.integer(3))
    if number == _CUSTOM:
        return f"custom {code.text(1)}"
    return NAMES[number] if number < len(NAMES) else f"BUILTIN_{number}"


def _tensor(table: Table) -> Tensor:
    shape: list[int | None] = [int(side) for side in table.numbers(0)]
    open_sides = [int(side) for side in table.numbers(7)]
    if open_sides:
        shape = [None if side < 0 else side for side in open_sides]
    scales, zeros = _scales(table)
    return Tensor(
        name=table.text(3),
        dtype=_type(table),
        shape=shape,
        layout=layout_of(shape),
        scale=scales[0] if len(scales) == 1 else None,
        zero_point=int(zeros[0]) if len(zeros) == 1 else None,
    )


def _type(table: Table) -> str:
    number = table.integer(1, "<b")
    return _TYPES[number] if 0 <= number < len(_TYPES) else f"type {number}"


def _scales(table: Table) -> tuple[list[float], list[float]]:
    for details in table.child(4):
        return details.numbers(2, "<f"), details.numbers(3, "<q")
    return [], []


def _weights(model: Table, tensors: list[Table]) -> dict[str, int]:
    """Count the elements of constants by type: of tensors whose buffer holds something."""
    filled = [bool(buffer.count(0) or buffer.integer(2, "<Q") > 1) for buffer in model.tables(4)]
    counts: Counter[str] = Counter()
    for tensor in tensors:
        buffer = tensor.integer(2, "<I")
        if (
            buffer < len(filled)
            and filled[buffer]
            and _type(tensor) not in ("int32", "int64", "bool", "string")
        ):
            elements = 1
            for side in tensor.numbers(0):
                elements *= int(side)
            counts[_type(tensor)] += elements
    return dict(counts.most_common())


def _quantization(
    used: list[tuple[str, Table]], tensors: list[Table], inputs: list[Tensor], weights: dict[str, int]
) -> str | None:
    """Tell how it is quantized, by what its convolutions and matrix products are given."""
    computing = [operator for name, operator in used if name in _COMPUTING]
    if not computing:
        return None
    pairs = [
        [_type(tensors[int(index)]) for index in each.numbers(1)[:2] if index >= 0] for each in computing
    ]
    whole = sum(all(kind in _INTEGER for kind in pair) for pair in pairs)
    hybrid = sum(pair[:1] == ["float32"] and pair[1:] == ["int8"] for pair in pairs)
    total = len(pairs)
    if whole == total:
        edges = "integer" if inputs and inputs[0].dtype in _INTEGER else "float"
        return f"full integer, {edges} input"
    if whole:
        return f"partly integer: {whole} of {total} convolutions and matrix products"
    if hybrid:
        return f"dynamic range: {hybrid} of {total} have 8-bit weights, activations are quantized at run time"
    stored = [kind for kind in ("float16", "int8", "uint8") if weights.get(kind)]
    return f"stored in {stored[0]}, computed in float32" if stored else "none"


def _trips(
    inputs: list[Tensor], outputs: list[Tensor], tensors: list[Table], types: Counter[str], graphs: int
) -> list[Trip]:
    found = []
    for tensor in inputs:
        if tensor.dtype in _INTEGER and tensor.scale is None:
            text = f"the input {tensor.name!r} is {tensor.dtype} without scale and zero point: fed raw pixels only"
            found.append(Trip("input.no-scale", text, "error"))
        elif tensor.dtype in _INTEGER:
            text = (
                f"the input {tensor.name!r} is {tensor.dtype}: q = x / {tensor.scale:.6g} + {tensor.zero_point}; "
                "float pixels put in as they are give nonsense (edgedyno converts)"
            )
            found.append(Trip("input.integer", text))
    found += [
        Trip(
            "output.integer", f"the output {each.name!r} is {each.dtype}: read it by its scale and zero point"
        )
        for each in outputs
        if each.dtype in _INTEGER
    ]
    if any(None in (each.shape or []) for each in inputs):
        found.append(
            Trip("input.dynamic", "an input's size is left open: it has to be resized before it runs")
        )
    custom = [name for name in types if name.startswith("custom ")]
    if custom:
        text = f"needs operators that are not TFLite's own: {', '.join(custom)}"
        found.append(Trip("operator.custom", text, "error"))
    if types.get("CONV_2D") and types.get("DEQUANTIZE") and any(_type(each) == "float16" for each in tensors):
        text = (
            "float16 weights are unpacked before they are used: smaller, not faster, without FP16 arithmetic"
        )
        found.append(Trip("weights.fp16", text))
    if graphs > 1:
        found.append(Trip("graph.many", f"holds {graphs} graphs; the first one is run"))
    return found
