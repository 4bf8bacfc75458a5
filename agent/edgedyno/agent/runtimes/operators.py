"""How a per-operator profile comes about: enough inferences within a limit, and each operator's mean."""

import time
from typing import Callable, Dict, Iterable, List, Tuple

from edgedyno.agent.runtimes.base import OperatorTime

LEAST_RUNS = 3
MOST_RUNS = 20
MOST_SECONDS = 2.0  # large models on small boards: three inferences, however long they take


def repeat(invoke: Callable[[], None]) -> int:
    """Invoke until there is enough to average, and return how often that was."""
    began = time.monotonic()
    for count in range(1, MOST_RUNS + 1):
        invoke()
        if count >= LEAST_RUNS and time.monotonic() - began > MOST_SECONDS:
            return count
    return MOST_RUNS


def mean_times(events: Iterable[Tuple[str, str, str, float]], inferences: int) -> List[OperatorTime]:
    """Put (name, type, precision, seconds) of all inferences together, in the order they first ran.

    The seconds of an operator are its share of one inference: one that ran in a loop counts each time.
    """
    totals: Dict[Tuple[str, str, str], float] = {}
    for name, kind, precision, seconds in events:
        key = (name, kind, precision)
        totals[key] = totals.get(key, 0.0) + seconds
    return [
        OperatorTime(name, kind, precision, seconds / inferences)
        for (name, kind, precision), seconds in totals.items()
    ]


def common_precision(name: str) -> str:
    """Return the word that all runtimes share for an arithmetic; other kinds than those are `other`."""
    return name if name in _KNOWN else "other"


_KNOWN = frozenset(["fp32", "fp16", "bf16", "tf32", "int8", "converting", "unknown"])
