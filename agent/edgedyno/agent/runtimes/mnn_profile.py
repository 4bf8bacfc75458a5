"""What an MNN session runs, operator by operator: its own names and types, the time between its callbacks."""

import time
from typing import Any, Dict, List, Tuple

from edgedyno.agent.runtimes.base import InferenceError, OperatorProfile, OperatorTime
from edgedyno.agent.runtimes.mnn_file import INTEGER
from edgedyno.agent.runtimes.shares import summarise

SOURCE = "MNN: the time between the callbacks around each operator of a session, which costs some microseconds each"

# Operators that move, convert or quantize what others compute.
_CONVERSIONS = frozenset(["FloatToInt8", "Int8ToFloat", "Cast", "ConvertTensor", "Raster"])
_INTEGER_TYPES = ("ConvInt8", "DepthwiseConvInt8", "EltwiseInt8", "PoolInt8")


def time_operators(
    interpreter: Any, session: Any, refill: Any, stored: Dict[str, str], floating: str, runs: int
) -> OperatorProfile:
    """Run `runs` inferences; `refill` puts the input back each time, because MNN reuses its memory.

    `floating` is the arithmetic of what is not quantized.
    """
    order: List[Tuple[str, str]] = []
    seconds: Dict[Tuple[str, str], float] = {}
    began = [0.0]

    def begin(_tensors: Any, _operator: Any) -> bool:
        began[0] = time.perf_counter()
        return True

    def end(_tensors: Any, operator: Any) -> bool:
        took = time.perf_counter() - began[0]
        key = (str(operator.getName()), str(operator.getType()))
        if key not in seconds:
            order.append(key)
        seconds[key] = seconds.get(key, 0.0) + took
        return True

    for _ in range(runs):
        refill()
        failed = interpreter.runSessionWithCallBackInfo(session, begin, end)
        if failed:
            raise InferenceError("runtime.error", "MNN gives %s for an inference" % failed)
    operators = [
        OperatorTime(name, kind, _precision(name, kind, stored, floating), seconds[name, kind] / runs)
        for name, kind in order
    ]
    return OperatorProfile(operators, runs, SOURCE)


def _precision(name: str, kind: str, stored: Dict[str, str], floating: str) -> str:
    if kind in _CONVERSIONS:
        return "converting"
    if kind in _INTEGER_TYPES or stored.get(name) == INTEGER:
        return "int8"
    return floating


def describe(profile: OperatorProfile, stored: Dict[str, str], device: str) -> Tuple[str, str]:
    """Put a profile into a word and its detail; `device` is what MNN says that it found."""
    amounts: Dict[str, float] = {}
    for each in profile.operators:
        amounts[each.precision] = amounts.get(each.precision, 0.0) + each.seconds
    word, detail = summarise(amounts, "the operators' time")
    parts = [detail.replace("converting (quantize, convert, reorder)", "moving and converting")]
    for kind in ("fp16", "int8"):
        count = sum(1 for each in stored.values() if each == kind)
        if count and word == "fp32":
            parts.append("weights of %d convolutions stored as %s and widened" % (count, kind))
    if device:
        parts.append("MNN finds %s" % device)
    return word, "; ".join(parts)
