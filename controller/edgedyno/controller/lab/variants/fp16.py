"""FP16: weights and arithmetic in half precision, inputs and outputs as they were."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import onnx
from onnxconverter_common import float16

from edgedyno.controller.lab.variants.graph import finish

if TYPE_CHECKING:
    from pathlib import Path


def build_fp16(source: Path, target: Path) -> dict[str, Any]:
    """Convert `source`; operators without a half-precision form stay in float between casts."""
    model = onnx.load(source)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        converted = float16.convert_float_to_float16(model, keep_io_types=True)
    finish(converted, target)
    casts = sum(node.op_type == "Cast" for node in converted.graph.node)
    return {
        "method": "onnxconverter-common convert_float_to_float16, float inputs and outputs",
        "casts": casts,
        "truncated_weights": sum("truncated" in str(entry.message) for entry in caught),
    }
