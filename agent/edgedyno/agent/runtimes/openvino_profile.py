"""What really ran, from OpenVINO's own counters: `brgconv_avx2_1x1_f32` is a kernel and its arithmetic."""

from typing import Dict, Iterable, List, NamedTuple, Tuple

from edgedyno.agent.runtimes.base import OperatorTime
from edgedyno.agent.runtimes.operators import common_precision, mean_times
from edgedyno.agent.runtimes.shares import summarise

# Nodes that only convert: they are the price of a precision or of a layout, not work in it.
_CONVERSIONS = frozenset(["Reorder", "Convert", "FakeQuantize", "Quantize"])
_ARITHMETIC = {"i8": "int8", "u8": "int8", "f16": "fp16", "bf16": "bf16", "f32": "fp32"}


def describe(kernels: Iterable[Tuple[str, str, float]]) -> Tuple[str, str]:
    """Put (node type, kernel, seconds) into a word and its detail; what did not run has no time."""
    seconds: Dict[str, float] = {}
    for node_type, kernel, took in kernels:
        name = _arithmetic(node_type, kernel)
        seconds[name] = seconds.get(name, 0.0) + took
    if not sum(seconds.values()):
        return "unknown", "OpenVINO's counters hold no kernel that ran"
    return summarise(seconds, "kernel time")


class Kernel(NamedTuple):
    """One node in one inference, as OpenVINO's counters tell it."""

    node_name: str
    node_type: str
    exec_type: str
    seconds: float


def operators(kernels: Iterable[Kernel], inferences: int) -> List[OperatorTime]:
    """Return each node's mean time; what was folded into another node took none and is left out."""
    return mean_times(
        (
            (each.node_name, each.node_type, _shared_word(each), each.seconds)
            for each in kernels
            if each.seconds > 0
        ),
        inferences,
    )


def _shared_word(kernel: Kernel) -> str:
    return common_precision(_arithmetic(kernel.node_type, kernel.exec_type))


def _arithmetic(node_type: str, kernel: str) -> str:
    if node_type in _CONVERSIONS:
        return "converting"
    suffix = kernel.rsplit("_", 1)[-1].lower()
    return _ARITHMETIC.get(suffix, suffix)
