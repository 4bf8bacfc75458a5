"""INT8 in ONNX as the profile's `quantize` says: which form, which types, what stays in float."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from edgedyno.controller.lab.source import check_exclude
from edgedyno.controller.lab.variants.graph import finish, lift_opset
from edgedyno.controller.lab.variants.quantizer import DynamicQuantizer, StaticQuantizer, pre_process
from edgedyno.controller.lab.variants.search import search
from edgedyno.controller.lab.variants.tools.toolkit import NO_CALIBRATION
from edgedyno.core.errors import RunError

if TYPE_CHECKING:
    from edgedyno.controller.lab.variants.quantizer import Quantizer
    from edgedyno.controller.lab.variants.request import BuildRequest


def build_int8(request: BuildRequest) -> dict[str, Any]:
    """Quantize the request's source into its target.

    Raises RunError: variant.no-calibration, variant.opset, variant.accuracy.
    """
    quantize = request.model.quantize
    if quantize.scheme != "dynamic" and not request.calibration:
        raise RunError(
            NO_CALIBRATION,
            code="variant.no-calibration",
        )
    source = onnx.load(request.source)
    outputs = check_exclude(source, quantize.exclude)
    with tempfile.TemporaryDirectory(dir=Path(request.target).parent) as folder:
        place = Path(folder)
        ready = pre_process(lift_opset(source), place)
        excluded = _names_by_output(onnx.load(ready), outputs)
        quantizer = _quantizer(request, ready)
        details: dict[str, Any] = {}
        if quantize.accuracy_control is not None:
            found = search(quantizer, request, excluded=excluded, folder=place)
            excluded, details = found.excluded, found.details
        raw = place / "quantized.onnx"
        quantizer.write(raw, excluded=excluded)
        finish(onnx.load(raw), Path(request.target))
    return {**quantizer.words(), "excluded": excluded, **details}


def _quantizer(request: BuildRequest, ready: Path) -> Quantizer:
    if request.model.quantize.scheme == "dynamic":
        return DynamicQuantizer(ready, request.model.quantize, reduce_range=request.reduce_range)
    return StaticQuantizer(
        ready, request.model.quantize, request.calibration, reduce_range=request.reduce_range
    )


def _names_by_output(model: Any, outputs: list[str]) -> list[str]:
    """Find nodes by what they compute: preparation drops and renames nodes, but keeps results' names."""
    wanted = set(outputs)
    return [node.name for node in model.graph.node if wanted.intersection(node.output)]
