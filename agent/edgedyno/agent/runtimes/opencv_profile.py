"""What OpenCV's networks run, layer by layer: its own types and counters."""

import platform
from typing import Any, Dict, List, Tuple

from edgedyno.agent.runtimes.base import OperatorProfile
from edgedyno.agent.runtimes.operators import mean_times
from edgedyno.agent.runtimes.shares import summarise

SOURCE = "OpenCV: getPerfProfile of a network of its own"

_CONVERSIONS = (
    "QuantizeLinear",
    "DequantizeLinear",
    "Quantize",
    "Dequantize",
    "Requantize",
    "Cast",
    "TransformLayout",
)
# Processors without any FP16 arithmetic that OpenCV has kernels for: it stores FP16 there and computes in FP32.
_WIDENING = ("x86_64", "AMD64", "i686")


def layer_precision(kind: str, *, half: bool) -> str:
    """Name the arithmetic of a layer's type, such as Conv2Int8; of FP16 files it tells no more than that."""
    if kind.rstrip("2") in _CONVERSIONS:
        return "converting"
    if kind.endswith("Int8"):
        return "int8"
    return "unknown" if half and platform.machine() not in _WIDENING else "fp32"


def operators(net: Any, ticks: List[Any], per_second: float, *, half: bool) -> OperatorProfile:
    """Put the counters of all runs, one row for each, and the layers' names together."""
    layers = [net.getLayer(index) for index in range(len(net.getLayerNames()))]
    events = (
        (layer.name, layer.type, layer_precision(layer.type, half=half), float(count) / per_second)
        for row in ticks
        for layer, count in zip(layers, row)
    )
    return OperatorProfile(mean_times(events, len(ticks)), len(ticks), SOURCE)


def describe(profile: OperatorProfile, *, half: bool) -> Tuple[str, str]:
    """Put a profile into a word and its detail."""
    amounts: Dict[str, float] = {}
    for each in profile.operators:
        amounts[each.precision] = amounts.get(each.precision, 0.0) + each.seconds
    word, detail = summarise(amounts, "the layers' time")
    if half:
        detail += "; fp16 stored; OpenCV does not tell its arithmetic"
        detail += ", and this processor has none for fp16" if word == "fp32" else ""
    return word, detail
