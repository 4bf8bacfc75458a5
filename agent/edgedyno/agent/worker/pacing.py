"""Inferences by the clock: inputs that arrive at a fixed rate, and streams that start at one moment.

Waiting is sleeping: nothing here spins. Not responsible for what the stamps mean.
"""

import ctypes
import time
from typing import Any, Callable, Dict, List

_PR_SET_TIMERSLACK = 29
# prctl(2): the kernel may wake a sleeper this much later, 50 us by default; a camera's interrupt has no slack.
_SLACK_NS = 1


def sharpen_timer() -> None:
    """Take the kernel's slack from this thread's sleeps; where that is refused they are 0.05 ms later."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)


def sleep_until(moment_ns: int) -> int:
    """Sleep until a moment of the monotonic clock; return the moment at which it woke up."""
    now = time.monotonic_ns()
    while now < moment_ns:
        time.sleep((moment_ns - now) / 1e9)
        now = time.monotonic_ns()
    return now


def answer_arrivals(invoke: Callable[[], None], period_ns: int, arrivals: int) -> Dict[str, Any]:
    """Answer inputs that arrive every `period_ns`, by a schedule that no inference can delay.

    One input waits at most: when the runtime is free it takes the newest that has come, and those before it
    are dropped. One inference runs before the schedule starts; it pays for the switch to this worker. Latency
    counts from the arrival by schedule to the end of the inference, `late_ns` from the arrival to waking up.
    """
    clock = time.monotonic_ns
    sharpen_timer()
    before = clock()
    invoke()
    switch = clock() - before
    start = clock() + period_ns
    latency: List[int] = []
    invoked: List[int] = []
    late: List[int] = []
    index = 0
    while index < arrivals:
        due = start + index * period_ns
        now = clock()
        if now < due:
            late.append(sleep_until(due) - due)
        else:
            index += (now - due) // period_ns
            if index >= arrivals:
                break  # the newest came after the window: what waited in it was dropped
            due = start + index * period_ns
        began = clock()
        invoke()
        ended = clock()
        latency.append(ended - due)
        invoked.append(ended - began)
        index += 1
    return {
        "switch_ns": switch,
        "latency_ns": latency,
        "invoke_ns": invoked,
        "late_ns": late,
        "started_ns": before,
        "ended_ns": clock(),
    }


def stream(invoke: Callable[[], None], start_ns: int, end_ns: int) -> Dict[str, Any]:
    """Infer one after the other from `start_ns` on; the last inference begins before `end_ns`."""
    clock = time.monotonic_ns
    sharpen_timer()
    started: List[int] = []
    latency: List[int] = []
    now = sleep_until(start_ns)
    while now < end_ns:
        began = clock()
        invoke()
        now = clock()
        started.append(began)
        latency.append(now - began)
    return {"started_ns": started, "latency_ns": latency}
