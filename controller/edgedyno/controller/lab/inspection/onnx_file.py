"""ONNX files, through the onnx package."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edgedyno.controller.lab.inspection.model import Inspection, Tensor, Trip, layout_of, precision_of
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COMPUTING = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_STANDARD = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "ai.onnx.training")
_PER_CHANNEL_OPSET = 13
# ONNX Runtime 1.19, the newest for Python 3.8 and 3.9 boards, takes IR 10 and opset 21 (its release notes).
_OLD_RUNTIME_IR = 10
_OLD_RUNTIME_OPSET = 21


def inspect_onnx(path: Path) -> Inspection:
    """Read an ONNX file. Raises ConfigError (model.damaged)."""
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ConfigError(
            f"{path}: begins as ONNX does and cannot be read: cut short or changed", code="model.damaged"
        ) from error
    graph = model.graph
    types = Counter(_named(node) for node in graph.node)
    weights = _weights(model)
    given = {tensor.name for tensor in graph.initializer}
    inputs = [_tensor(entry) for entry in graph.input if entry.name not in given]
    return Inspection(
        format="onnx",
        files=[path.name, *sorted(set(_external(model)))],
        size_bytes=path.stat().st_size,
        inputs=inputs,
        outputs=[_tensor(entry) for entry in graph.output],
        operators=len(graph.node),
        operator_types=dict(types.most_common()),
        version=_version(model),
        weights=weights,
        precision=precision_of(weights),
        quantization=_quantization(model, types),
        trips=_trips(path, model, inputs, types),
    )


def _named(node: Any) -> str:
    return f"{node.domain}:{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)


def _version(model: Any) -> str:
    sets = ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)
    maker = (
        f", made by {model.producer_name} {model.producer_version}".rstrip() if model.producer_name else ""
    )
    return f"IR {model.ir_version}, opset {sets}{maker}"


def _opset(model: Any) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _tensor(entry: Any) -> Tensor:
    kind = entry.type.tensor_type
    shape: list[int | None] | None = None
    if kind.HasField("shape"):
        shape = [dim.dim_value or None for dim in kind.shape.dim]
    return Tensor(entry.name, _dtype(kind.elem_type), shape, layout_of(shape))


def _dtype(number: int) -> str | None:
    if not number:
        return None
    try:
        name = str(onnx.TensorProto.DataType.Name(number)).lower()
    except ValueError:
        return f"type {number}"
    return {"float": "float32", "double": "float64"}.get(name, name)


def _constants(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute if attribute.name == "value")


def _weights(model: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tensor in _constants(model):
        name = _dtype(tensor.data_type) or "none"
        if name in ("int64", "int32", "bool", "string"):
            continue
        elements = 1
        for side in tensor.dims:
            elements *= side
        counts[name] += elements
    return dict(counts.most_common())


def _external(model: Any) -> Iterator[str]:
    for tensor in _constants(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _quantization(model: Any, types: Counter[str]) -> str:
    dynamic = types["DynamicQuantizeLinear"]
    integer = sum(count for name, count in types.items() if "QLinear" in name or name.endswith("Integer"))
    pairs = types["QuantizeLinear"]
    if dynamic:
        return f"dynamic: {dynamic} activations are quantized at run time"
    if integer and not pairs > integer:
        return f"static, QOperator: {integer} integer operators"
    if pairs:
        return _qdq(model, pairs)
    if types["DequantizeLinear"]:
        return f"weights alone: {types['DequantizeLinear']} are stored in integers and computed in float"
    return "none"


def _qdq(model: Any, pairs: int) -> str:
    """Count the products of matrices whose both operands come from a DequantizeLinear."""
    integer = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    products = [node for node in model.graph.node if node.op_type in _COMPUTING]
    whole = sum(all(name in integer for name in node.input[:2]) for node in products)
    return f"static, QDQ: {whole} of {len(products)} convolutions and matrix products, {pairs} activations"


def _trips(path: Path, model: Any, inputs: list[Tensor], types: Counter[str]) -> list[Trip]:
    found = [*_on_files(path, model), *_on_versions(model), *_on_inputs(inputs)]
    foreign = sorted({node.domain for node in model.graph.node} - set(_STANDARD))
    if foreign:
        text = f"needs operators of {', '.join(foreign)}: no runtime has them without a library of its maker"
        found.append(Trip("operator.custom", text, "error"))
    if any(name.startswith("com.microsoft:") for name in types):
        names = ", ".join(name.removeprefix("com.microsoft:") for name in types if ":" in name)
        found.append(Trip("operator.vendor", f"only ONNX Runtime has its operators {names}"))
    stray = [name for name in ("NonMaxSuppression", "Loop", "If") if types[name]]
    if stray:
        text = (
            f"holds {', '.join(stray)}: converters to ncnn, RKNN and TensorRT often refuse; export without "
            "post-processing"
        )
        found.append(Trip("operator.control", text))
    return found


def _on_files(path: Path, model: Any) -> list[Trip]:
    found = []
    for name in sorted(set(_external(model))):
        missing = not (path.parent / name).is_file()
        text = f"its weights lie in {name}" + (", which is missing" if missing else "")
        advice = "; save it as one file (onnx.save with save_as_external_data=False)"
        found.append(Trip("model.external-data", text + advice, "error"))
    return found


def _on_versions(model: Any) -> list[Trip]:
    found = []
    opset = _opset(model)
    per_channel = [
        node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and _is_per_channel(model, node)
    ]
    if opset < _PER_CHANNEL_OPSET and per_channel:
        text = (
            f"opset {opset} with {len(per_channel)} per-channel DequantizeLinear: invalid below opset "
            f"{_PER_CHANNEL_OPSET}, which brought their axis"
        )
        found.append(Trip("model.opset-per-channel", text, "error"))
    elif opset < _PER_CHANNEL_OPSET:
        text = (
            f"opset {opset}: INT8 per channel needs {_PER_CHANNEL_OPSET} (edgedyno lifts it when it builds)"
        )
        found.append(Trip("model.opset-old", text))
    if model.ir_version > _OLD_RUNTIME_IR or opset > _OLD_RUNTIME_OPSET:
        text = (
            f"IR {model.ir_version} and opset {opset}: ONNX Runtime 1.19, the last for Python 3.8 and 3.9, takes "
            f"IR {_OLD_RUNTIME_IR} and opset {_OLD_RUNTIME_OPSET} at most"
        )
        found.append(Trip("model.new", text))
    return found


def _is_per_channel(model: Any, node: Any) -> bool:
    scales = {tensor.name: tensor for tensor in model.graph.initializer}
    scale = scales.get(node.input[1])
    return scale is not None and any(side > 1 for side in scale.dims)


def _on_inputs(inputs: list[Tensor]) -> list[Trip]:
    found = []
    for each in inputs:
        if None in (each.shape or [1])[1:]:
            text = f"the input {each.name!r} leaves sides open ({each.shape}): TFLite, ncnn and RKNN want them fixed"
            found.append(Trip("input.dynamic", text))
        if each.dtype == "float16":
            text = f"the input {each.name!r} is float16: older runtimes take float32 inputs only"
            found.append(Trip("input.fp16", text))
        if each.dtype in ("int8", "uint8"):
            text = f"the input {each.name!r} is {each.dtype}, and ONNX has no place for its scale: say it yourself"
            found.append(Trip("input.no-scale", text))
    if len(inputs) > 1:
        text = f"takes {len(inputs)} inputs; edgedyno feeds models of one"
        found.append(Trip("input.many", text, "error"))
    return found
