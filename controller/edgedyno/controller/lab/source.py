"""The FP32 ONNX file that a user gives: whether it is one, is whole and fits its profile."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.core.profile import InputSpec, ModelProfile

_WEIGHT_TYPES = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8", "INT4", "UINT4")


def check_source(path: Path, profile: ModelProfile) -> None:
    """Check the model file of `profile`.

    Raises ConfigError: model.missing, model.empty, model.wrong-sha256, model.not-onnx, model.invalid,
    model.not-fp32, model.input, model.exclude; UnsupportedError: model.opset, model.external-data.
    """
    data = _read(path, profile)
    model = _parse(data, path)
    for quantize in (profile.quantize, *profile.recipes.values()):
        check_exclude(model, quantize.exclude)
    _check_types(model, path)
    _check_input(model, profile.input, path)


def _read(path: Path, profile: ModelProfile) -> bytes:
    if not path.is_file():
        raise ConfigError(
            f"model {profile.name!r}: found no file {path}, expected its FP32 ONNX source",
            code="model.missing",
        )
    data = path.read_bytes()
    if not data:
        raise ConfigError(f"{path}: found 0 bytes, expected an ONNX model", code="model.empty")
    found = hashlib.sha256(data).hexdigest()
    if profile.sha256 not in (None, found):
        raise ConfigError(
            f"{path}: found sha256 {found} ({len(data)} bytes), expected {profile.sha256}: another file, or "
            "one that was cut short or changed",
            code="model.wrong-sha256",
        )
    return data


def _parse(data: bytes, path: Path) -> Any:
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise _not_onnx(data, path) from error
    if not model.ir_version or not model.graph.node:
        raise _not_onnx(data, path)
    newest = onnx.defs.onnx_opset_version()
    if opset(model) > newest:
        raise UnsupportedError(
            f"{path}: found opset {opset(model)}, ONNX {onnx.__version__} knows up to {newest}",
            code="model.opset",
        )
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise UnsupportedError(
            f"{path}: its weights lie in other files; save it as one file "
            "(onnx.save with save_as_external_data=False)",
            code="model.external-data",
        )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ConfigError(f"{path}: not a valid ONNX model: {error}", code="model.invalid") from error
    return model


def _not_onnx(data: bytes, path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: found {len(data)} bytes that begin with {data[:8]!r} and are no ONNX model: another "
        "format, or cut short",
        code="model.not-onnx",
    )


def opset(model: Any) -> int:
    """Return the version of the standard operator set; 0 when the model names none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _check_types(model: Any, path: Path) -> None:
    counts: Counter[str] = Counter()
    for tensor in _constants(model):
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        if name in _WEIGHT_TYPES:
            elements = 1
            for side in tensor.dims:
                elements *= side
            counts[name] += elements
    if not counts or counts.most_common(1)[0][0] != "FLOAT":
        found = ", ".join(f"{count} of {name}" for name, count in counts.most_common()) or "none"
        raise ConfigError(
            f"{path}: found weights: {found}; expected mostly FLOAT: variants are built from an FP32 model",
            code="model.not-fp32",
        )


def _constants(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for node in model.graph.node:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute if attribute.name == "value")


def input_name(model: Any) -> str:
    """Return the name of the model's input. Raises ConfigError (model.input) unless it has just one."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [entry.name for entry in model.graph.input if entry.name not in weights]
    if len(names) != 1:
        raise ConfigError(
            f"found the inputs {', '.join(names) or 'none'}, expected exactly one", code="model.input"
        )
    return str(names[0])


def _check_input(model: Any, spec: InputSpec, path: Path) -> None:
    name = input_name(model)
    kind = next(entry.type.tensor_type for entry in model.graph.input if entry.name == name)
    found = [dim.dim_value or None for dim in kind.shape.dim]
    height, width = spec.size
    expected = [1, 3, height, width] if spec.layout == "NCHW" else [1, height, width, 3]
    fits = len(found) == len(expected) and all(
        size in (None, want) for size, want in zip(found, expected, strict=True)
    )
    if not fits or kind.elem_type != onnx.TensorProto.FLOAT:
        type_name = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise ConfigError(
            f"{path}: found the input {name!r} of {type_name} {found}, expected FLOAT {expected} as the "
            f"profile's `input` says ({spec.layout}, size {list(spec.size)})",
            code="model.input",
        )


def check_exclude(model: Any, patterns: list[str]) -> list[str]:
    """Return the outputs of the nodes that `patterns` match, wholly, by node name or output name.

    Raises ConfigError (model.exclude) for a pattern that is no regular expression or matches nothing.
    """
    outputs: list[str] = []
    for text in patterns:
        try:
            pattern = re.compile(text)
        except re.error as error:
            raise ConfigError(
                f"quantize.exclude: {text!r} is no regular expression: {error}", code="model.exclude"
            ) from error
        matched = [node for node in model.graph.node if _matches(pattern, node)]
        if not matched:
            names = [node.name or node.output[0] for node in model.graph.node]
            raise ConfigError(
                f"quantize.exclude: {text!r} matches no node of the model{nearest(text, names)}",
                code="model.exclude",
            )
        outputs += [output for node in matched for output in node.output if output]
    return sorted(set(outputs))


def _matches(pattern: re.Pattern[str], node: Any) -> bool:
    return any(pattern.fullmatch(name) for name in (node.name, *node.output) if name)
