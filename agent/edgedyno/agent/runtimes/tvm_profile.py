"""What TVM's virtual machine calls, from an instrument around each call: names, tensor types, times."""

import time
from typing import Any, Dict, List, Tuple

from edgedyno.agent.runtimes.base import OperatorProfile
from edgedyno.agent.runtimes.operators import mean_times
from edgedyno.agent.runtimes.shares import summarise

SOURCE = "TVM: an instrument around each call of its virtual machine, which costs some microseconds each"

_CONVERSIONS = ("quantize", "dequantize", "cast", "layout_transform", "transpose")
_MACHINE = "vm.builtin."
_ARITHMETIC = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8", "uint8": "int8"}

Event = Tuple[str, str, str, float]


class Instrument:
    """Collects (name, type, precision, seconds) of each call; calls with one name are told apart by number."""

    def __init__(self, *, half: bool) -> None:
        """Take whether the target computes in FP16."""
        self.events: List[Event] = []
        self._half = half
        self._began: List[float] = []
        self._seen: Dict[str, int] = {}

    def start(self) -> None:
        """Begin another inference."""
        self._seen = {}

    def __call__(self, _function: Any, name: str, before: Any, _returned: Any, *arguments: Any) -> int:
        """Be called before and after; 0 lets the machine go on."""
        now = time.perf_counter()
        if before:
            self._began.append(now)
            return 0
        took = now - self._began.pop()
        name = str(name)
        if name.startswith(_MACHINE):
            self.events.append((name, "the machine's own", "other", took))
            return 0
        number = self._seen[name] = self._seen.get(name, 0) + 1
        types = [str(each.dtype) for each in arguments if hasattr(each, "dtype")]
        self.events.append(
            ("%s #%d" % (name, number), name.rstrip("0123456789"), self._precision(name, types), took)
        )
        return 0

    def _precision(self, name: str, types: List[str]) -> str:
        if name.startswith(_CONVERSIONS) or not types:
            return "converting"
        if types[0] == "float16" and not self._half:
            return "fp32"
        return _ARITHMETIC.get(types[0], "other")


def operators(events: List[Event], runs: int) -> OperatorProfile:
    """Put the calls of all inferences together."""
    return OperatorProfile(mean_times(events, runs), runs, SOURCE)


def describe(profile: OperatorProfile, target: str, *, half_stored: bool, half: bool) -> Tuple[str, str]:
    """Put a profile into a word and its detail."""
    amounts: Dict[str, float] = {}
    for each in profile.operators:
        amounts[each.precision] = amounts.get(each.precision, 0.0) + each.seconds
    word, detail = summarise(amounts, "the calls' time")
    parts = [detail]
    if half_stored and not half:
        parts.append("fp16 tensors, widened around every operation: the target has no fp16 arithmetic")
    return word, "; ".join([*parts, "untuned code for %s" % target])
