"""ncnn's pair of files: the graph in text (.param) and the weights beside it (.bin).

Source: ncnn's wiki, "param and model file structure". A layer is a line: type, name, numbers of inputs and
outputs, their names, and parameters `key=value`.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

import msgspec
from msgspec import Struct

from edgedyno.controller.lab.inspection.model import Inspection, Tensor, Trip
from edgedyno.controller.lab.inspection.ncnn_layers import LAYERS
from edgedyno.controller.lab.inspection.zipped import opened, read_text
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = ("model.param", "model.bin")
_COMPUTING = (
    "Convolution",
    "ConvolutionDepthWise",
    "InnerProduct",
    "Deconvolution",
    "DeconvolutionDepthWise",
)
_INT8_KEY = "8"  # int8_scale_term, of convolutions and InnerProduct alike
_REQUANTIZES = 100
# The weights' tag, the first four bytes of each layer's in the .bin (source: ncnn's modelbin.cpp).
_TAGS = {0x01306B47: "float16", 0x000D4B38: "int8", 0x0002C056: "float32"}


class Layer(Struct, frozen=True):
    """One line of the graph."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    parameters: dict[str, str]


def bin_beside(path: Path) -> Path:
    """Return where the weights of a .param file lie."""
    return path.with_suffix(".bin")


def inspect_ncnn(path: Path) -> Inspection:
    """Read a .param file and the .bin beside it, or a bundle of both. Raises ConfigError (model.damaged)."""
    if zipfile.is_zipfile(path):
        with opened(path) as bundle:
            text = read_text(bundle, MEMBERS[0])
            weights = bundle.getinfo(MEMBERS[1]).file_size
            with bundle.open(MEMBERS[1]) as file:
                tag = file.read(4)
        return _inspect(path, text, [path.name], path.stat().st_size, tag, weights)
    binary = bin_beside(path)
    has_weights = binary.is_file()
    size = binary.stat().st_size if has_weights else None
    head = _head(binary.open("rb")) if has_weights else None
    files = [path.name, *([binary.name] if has_weights else [])]
    found = _inspect(path, path.read_bytes(), files, path.stat().st_size + (size or 0), head, size)
    if has_weights:
        return found
    trip = Trip("model.missing-part", f"found no {binary.name} beside it: the weights lie there", "error")
    return msgspec.structs.replace(found, trips=[trip, *found.trips])


def _head(file: BinaryIO) -> bytes:
    with file:
        return file.read(4)


def _inspect(
    path: Path, text: bytes, files: list[str], size_bytes: int, head: bytes | None, weight_bytes: int | None
) -> Inspection:
    layers = read_layers(text, str(path))
    types = Counter(layer.kind for layer in layers)
    quantized = [layer for layer in layers if _int8_term(layer)]
    computing = [layer for layer in layers if layer.kind in _COMPUTING]
    stored = _TAGS.get(int.from_bytes(head, "little"), "float32") if head else None
    precision = "int8" if quantized else {"float16": "fp16", "float32": "fp32"}.get(stored or "")
    return Inspection(
        format="ncnn",
        files=files,
        size_bytes=size_bytes,
        inputs=[_input(layer) for layer in layers if layer.kind == "Input"],
        outputs=[Tensor(name, None, None) for name in _outputs(layers)],
        operators=len(layers),
        operator_types=dict(types.most_common()),
        version="param text, magic 7767517",
        precision=precision,
        quantization=_quantization(quantized, computing),
        trips=_trips(layers, types, weight_bytes),
        notes=[f"weights stored in {stored}"] if stored else [],
    )


def read_layers(data: bytes, where: str) -> list[Layer]:
    """Return the layers of a .param file. Raises ConfigError (model.damaged) naming the line."""
    lines = data.decode("utf-8", errors="replace").splitlines()
    layers = []
    for number, line in enumerate(lines[2:], start=3):
        if line.strip():
            layers.append(_layer(line.split(), f"{where}:{number}"))
    counted = lines[1].split()[:1] if len(lines) > 1 else []
    if not layers or counted != [str(len(layers))]:
        raise ConfigError(
            f"{where}: found {len(layers)} layers, expected {''.join(counted) or 'some'} as its second line says",
            code="model.damaged",
        )
    return layers


def _layer(words: list[str], where: str) -> Layer:
    try:
        inputs, outputs = int(words[2]), int(words[3])
        blobs = [words[4 + index] for index in range(inputs + outputs)]
        pairs = dict(word.split("=", 1) for word in words[4 + inputs + outputs :])
    except (IndexError, ValueError) as error:
        raise ConfigError(
            f"{where}: found {' '.join(words)[:80]!r}, expected a layer: type, name, counts, blobs, key=value",
            code="model.damaged",
        ) from error
    return Layer(words[0], words[1], blobs[:inputs], blobs[inputs:], pairs)


def _int8_term(layer: Layer) -> int:
    if layer.kind not in _COMPUTING:
        return 0
    value = layer.parameters.get(_INT8_KEY, "0")
    return int(value) if value.lstrip("-").isdigit() else 0


def _input(layer: Layer) -> Tensor:
    sides = [layer.parameters.get(key) for key in ("2", "1", "0")]  # channels, height, width
    shape: list[int | None] = [1, *(int(side) if side and side.isdigit() else None for side in sides)]
    return Tensor(layer.outputs[0], "float32", shape, "NCHW")


def _outputs(layers: list[Layer]) -> list[str]:
    read = {name for layer in layers for name in layer.inputs}
    return [name for layer in layers for name in layer.outputs if name not in read]


def _quantization(quantized: list[Layer], computing: list[Layer]) -> str:
    if not quantized:
        return "none"
    fused = sum(_int8_term(layer) > _REQUANTIZES for layer in quantized)
    return f"static INT8: {len(quantized)} of {len(computing)} convolutions and products, {fused} requantize"


def _trips(layers: list[Layer], types: Counter[str], weight_bytes: int | None) -> list[Trip]:
    found = []
    unknown = [kind for kind in types if kind not in LAYERS]
    if unknown:
        hints = ", ".join(f"{kind!r}{nearest(kind, LAYERS)}" for kind in unknown)
        text = (
            f"has layers that stock ncnn does not register: {hints}; it loads and then crashes the process. "
            "Convert again without them (pnnx)"
        )
        found.append(Trip("operator.custom", text, "error"))
    names = [name for layer in layers for name in layer.outputs]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        found.append(
            Trip("graph.names", f"two layers give the blob {twice[0]!r}: the later one hides the first")
        )
    if "Input" not in types:
        found.append(Trip("input.none", "has no Input layer: there is nothing to feed", "error"))
    if any(layer.kind == "Input" and "0" not in layer.parameters for layer in layers):
        text = "does not say how large its input is; the model's profile decides"
        found.append(Trip("input.dynamic", text))
    if any(kind in _COMPUTING for kind in types) and weight_bytes == 0:
        found.append(Trip("model.empty-part", "its .bin is empty", "error"))
    return found
