"""What really ran, from TensorRT's own account: times by its profiler, types by its engine inspector."""

import json
from typing import Any, Dict, List, Tuple

from edgedyno.agent.runtimes.base import OperatorTime
from edgedyno.agent.runtimes.shares import summarise

# Layers that only convert: they are the price of a precision or of a layout, not work in it.
_CONVERSIONS = frozenset(["Reformat", "Quantize", "Dequantize", "Cast"])
# As the inspector writes the type of a tensor, such as `Channel major FP16 format where channel % 8 == 0`.
_TYPES = (
    ("int8", "int8"),
    ("fp8", "fp8"),
    ("fp16", "fp16"),
    ("half", "fp16"),
    ("bf16", "bf16"),
    ("bfloat16", "bf16"),
    ("fp32", "fp32"),
    ("float", "fp32"),
)


def read_layers(text: str) -> Dict[str, Tuple[str, str]]:
    """Return the type and the precision of each layer by name, from the inspector's JSON.

    An engine that was built without details has names for layers, and nothing to tell of them.
    """
    found: Dict[str, Tuple[str, str]] = {}
    for layer in json.loads(text).get("Layers", []):
        if isinstance(layer, str):
            found[layer] = ("unknown", "unknown")
        else:
            found[layer["Name"]] = (layer.get("LayerType", "unknown"), _precision(layer))
    return found


def operators(
    milliseconds: Dict[str, float], layers: Dict[str, Tuple[str, str]], inferences: int
) -> List[OperatorTime]:
    """Put the profiler's times, summed over inferences, together with what the inspector says."""
    return [
        OperatorTime(name, *layers.get(name, ("unknown", "unknown")), total / 1e3 / inferences)
        for name, total in milliseconds.items()
    ]


def describe(found: List[OperatorTime]) -> Tuple[str, str]:
    """Put the layers into a word and its detail."""
    seconds: Dict[str, float] = {}
    for each in found:
        seconds[each.precision] = seconds.get(each.precision, 0.0) + each.seconds
    if not sum(seconds.values()):
        return "unknown", "TensorRT's profiler saw no layer that ran"
    return summarise(seconds, "GPU time")


def _precision(layer: Dict[str, Any]) -> str:
    if layer.get("LayerType") in _CONVERSIONS or layer.get("ParameterType") in _CONVERSIONS:
        return "converting"
    inputs = layer.get("Inputs") or layer.get("Outputs") or []
    words = str(inputs[0].get("Format/Datatype", "")).lower() if inputs else ""
    name = next((precision for sign, precision in _TYPES if sign in words), "unknown")
    # TF32 takes FP32 tensors: only the kernel's name tells.
    if name == "fp32" and "tf32" in str(layer.get("TacticName", "")).lower():
        return "tf32"
    return name
