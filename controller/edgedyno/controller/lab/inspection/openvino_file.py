"""OpenVINO's pair of files: the graph in XML and the weights beside it (.bin)."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from edgedyno.controller.lab.inspection.model import Inspection, Tensor, Trip, layout_of, precision_of
from edgedyno.controller.lab.inspection.zipped import opened, read_text
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = ("model.xml", "model.bin")
_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64", "i8": "int8", "u8": "uint8",
           "i4": "int4", "u4": "uint4", "i32": "int32", "i64": "int64", "boolean": "bool"}  # fmt: skip
_BYTES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1}
_PRODUCTS = ("Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData")
_OLDEST_SCHEMA = 10


def inspect_openvino(path: Path) -> Inspection:
    """Read an .xml file and the .bin beside it, or a bundle of both. Raises ConfigError (model.damaged)."""
    if zipfile.is_zipfile(path):
        with opened(path) as bundle:
            text = read_text(bundle, MEMBERS[0])
            weight_bytes: int | None = bundle.getinfo(MEMBERS[1]).file_size
        files, size = [path.name], path.stat().st_size
    else:
        text, binary = path.read_bytes(), path.with_suffix(".bin")
        weight_bytes = binary.stat().st_size if binary.is_file() else None
        files = [path.name, *([binary.name] if weight_bytes is not None else [])]
        size = len(text) + (weight_bytes or 0)
    return _inspect(path, text, files, size, weight_bytes)


def _parse(path: Path, text: bytes) -> ET.Element:
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ConfigError(f"{path}: found an XML document with entities, expected none", code="model.damaged")
    try:
        root = ET.fromstring(text)  # noqa: S314 - no entities, see above
    except ET.ParseError as error:
        raise ConfigError(f"{path}: not XML: {error}", code="model.damaged") from error
    if root.tag != "net":
        raise ConfigError(f"{path}: found <{root.tag}>, expected <net>", code="model.damaged")
    return root


def _inspect(
    path: Path, text: bytes, files: list[str], size_bytes: int, weight_bytes: int | None
) -> Inspection:
    root = _parse(path, text)
    layers = root.findall("layers/layer")
    types = Counter(layer.get("type", "") for layer in layers)
    types.pop("Const", None)
    weights, claimed = _weights(layers)
    inputs = [_tensor(layer, "output") for layer in layers if layer.get("type") == "Parameter"]
    fakes = types["FakeQuantize"]
    products = sum(types[name] for name in _PRODUCTS)
    stored = sum(weights.get(name, 0) for name in ("int8", "uint8"))
    return Inspection(
        format="openvino",
        files=files,
        size_bytes=size_bytes,
        inputs=inputs,
        outputs=[_tensor(layer, "input") for layer in layers if layer.get("type") == "Result"],
        operators=sum(types.values()),
        operator_types=dict(types.most_common()),
        version=f"IR {root.get('version', '?')}",
        weights=weights,
        precision=precision_of(weights),
        quantization=_quantization(fakes, products, stored),
        trips=_trips(path, root, inputs, weight_bytes, claimed),
    )


def _weights(layers: list[ET.Element]) -> tuple[dict[str, int], int]:
    """Count constants by type, and say how many bytes of the .bin they take."""
    counts: Counter[str] = Counter()
    end = 0
    for layer in layers:
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None:
            continue
        size = int(data.get("size", 0))
        end = max(end, int(data.get("offset", 0)) + size)
        dtype = _dtype(data.get("element_type"))
        if dtype in _BYTES:
            counts[str(dtype)] += size // _BYTES[str(dtype)]
    return dict(counts.most_common()), end


def _dtype(name: str | None) -> str | None:
    return _DTYPES.get((name or "").lower(), name)


def _tensor(layer: ET.Element, side: str) -> Tensor:
    port = layer.find(f"{side}/port")
    shape: list[int | None] | None = None
    dtype = None
    if port is not None:
        texts = [dim.text or "-1" for dim in port.findall("dim")]
        sizes = [int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else -1 for text in texts]
        shape = [size if size > 0 else None for size in sizes]
        dtype = _dtype(port.get("precision"))
    data = layer.find("data")
    if data is not None and data.get("element_type"):
        dtype = _dtype(data.get("element_type"))
    return Tensor(layer.get("name", ""), dtype, shape, layout_of(shape))


def _quantization(fakes: int, products: int, stored: int) -> str:
    if fakes:
        return f"static: {fakes} FakeQuantize around {products} convolutions and matrix products"
    return "weights alone are stored in integers" if stored else "none"


def _trips(
    path: Path,
    root: ET.Element,
    inputs: list[Tensor],
    weight_bytes: int | None,
    claimed: int,
) -> list[Trip]:
    found = []
    if weight_bytes is None:
        text = f"found no {path.with_suffix('.bin').name} beside it: the weights lie there"
        found.append(Trip("model.missing-part", text, "error"))
    elif weight_bytes < claimed:
        text = f"its .bin has {weight_bytes} bytes, and the graph reads up to byte {claimed}: cut short, or another's"
        found.append(Trip("model.damaged", text, "error"))
    version = root.get("version", "0")
    if version.isdigit() and int(version) < _OLDEST_SCHEMA:
        text = (
            f"IR version {version}: OpenVINO from 2024 on reads {_OLDEST_SCHEMA} and newer; convert it again"
        )
        found.append(Trip("model.opset-old", text, "error"))
    if any(None in (each.shape or [1])[1:] for each in inputs):
        found.append(
            Trip("input.dynamic", "an input leaves sides open: it has to be reshaped before it runs")
        )
    if len(inputs) > 1:
        found.append(Trip("input.many", f"takes {len(inputs)} inputs; edgedyno feeds models of one", "error"))
    opsets = {layer.get("version", "") for layer in root.findall("layers/layer")}
    custom = sorted(name for name in opsets if name and not name.startswith(("opset", "ie_")))
    if custom:
        text = f"needs operators of {', '.join(custom)}: an extension of its maker has to be loaded"
        found.append(Trip("operator.custom", text, "error"))
    return found
