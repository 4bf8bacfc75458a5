"""What each layer of a loaded ncnn net runs in, by ncnn's own flags, and how long it takes."""

import time
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from edgedyno.agent.runtimes.base import InferenceError, OperatorProfile, OperatorTime
from edgedyno.agent.runtimes.ncnn_param import Layer
from edgedyno.agent.runtimes.shares import summarise

# Layers that hand on, quantize or cast what others compute.
_CONVERSIONS = frozenset(["Quantize", "Dequantize", "Requantize", "Cast", "Packing"])
_SILENT = frozenset(["Input"])
SOURCE = (
    "ncnn: each blob extracted in turn from an extractor that keeps all of them; layers that work in place "
    "otherwise make a new blob here"
)


class Arithmetic(NamedTuple):
    """What was asked of ncnn, and what this processor has."""

    half_asked: bool
    half_possible: bool
    int8_allowed: bool


def half_possible(ncnn: Any) -> bool:
    """Ask ncnn whether this processor has FP16 arithmetic that ncnn uses: ARMv8.2's, or RISC-V's vectors."""
    names = ("cpu_support_arm_asimdhp", "cpu_support_riscv_zvfh")
    return any(bool(getattr(ncnn, name)()) for name in names if hasattr(ncnn, name))


def layer_precision(layer: Layer, arithmetic: Arithmetic, *, supports_half: bool) -> str:
    """Name a layer's arithmetic as ncnn chooses it in create_pipeline; `supports_half` is the layer's own flag."""
    if layer.type in _CONVERSIONS:
        return "converting"
    if layer.is_int8() and arithmetic.int8_allowed:
        return "int8"
    half = supports_half and arithmetic.half_asked and arithmetic.half_possible
    return "fp16" if half else "fp32"


def time_layers(net: Any, bound: Dict[int, Any], layers: Sequence[Layer], runs: int) -> List[float]:
    """Return the mean seconds of each layer: how much longer the extraction of its blob takes."""
    import ncnn

    tops = [list(each.tops) for each in net.layers()]
    seconds = [0.0] * len(layers)
    for _ in range(runs):
        extractor = net.create_extractor()
        extractor.set_light_mode(False)
        for index, mat in bound.items():
            extractor.input(index, mat)
        for number, layer in enumerate(layers):
            if layer.type in _SILENT or not tops[number]:
                continue
            mat = ncnn.Mat()
            began = time.perf_counter()
            failed = extractor.extract(tops[number][0], mat, 1)  # 1: as the layer made it, not converted
            seconds[number] += time.perf_counter() - began
            if failed:
                raise InferenceError("runtime.error", "ncnn gives %d for layer %s" % (failed, layer.name))
    return [each / runs for each in seconds]


def operators(
    layers: Sequence[Layer], precisions: Sequence[str], seconds: Sequence[float], runs: int
) -> OperatorProfile:
    """Put layers, arithmetic and times together."""
    listed = [
        OperatorTime(layer.name, layer.type, precision, took)
        for layer, precision, took in zip(layers, precisions, seconds)
        if layer.type not in _SILENT
    ]
    return OperatorProfile(listed, runs, SOURCE)


def describe(profile: OperatorProfile, arithmetic: Arithmetic, half_weights: int) -> Tuple[str, str]:
    """Put a profile into a word and its detail."""
    amounts: Dict[str, float] = {}
    for each in profile.operators:
        amounts[each.precision] = amounts.get(each.precision, 0.0) + each.seconds
    word, detail = summarise(amounts, "the layers' time")
    parts = [detail]
    if half_weights and not arithmetic.half_possible:
        parts.append(
            "%d weights stored as fp16 and widened: ncnn finds no fp16 arithmetic here" % half_weights
        )
    return word, "; ".join(parts)
