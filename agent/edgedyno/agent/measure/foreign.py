"""Judge CPU time that others took on the used cores, from windows too short for the kernel's clock ticks.

/proc/stat counts in ticks (10 ms), which says little about a window of 100 ms. So each window gets an
allowance for its rounding, and windows are also judged together over the last seconds.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from edgedyno.agent.host.proc import TICK_SECONDS

# An idle Linux spends below 1 % of each core on its own housekeeping. One core's delay is the delay of all
# threads that wait for each other, hence the bound for small sets counts against one core.
FOREIGN_BOUND_OF_ONE_CORE = 0.05
FOREIGN_BOUND_OF_ALL_CORES = 0.01
HISTORY_SECONDS = 5.0
HISTORY_MIN_SECONDS = 1.0
# Rounding of one CPU's counter between two readings is spread evenly over ±1 tick: variance tick²/6.
# Three standard deviations keep false alarms below some 0.3 % of the windows.
ROUNDING_VARIANCE = TICK_SECONDS**2 / 6
ROUNDING_SIGMAS = 3.0


class Share(NamedTuple):
    """The part of the used cores that others took in a window, and why that voids the window."""

    ratio: float | None
    reason: str | None


class ForeignLoad:
    """The foreign CPU time of the latest windows on `cpu_count` used cores."""

    def __init__(self, cpu_count: int) -> None:
        self._cpu_count = max(cpu_count, 1)
        self._bound = max(FOREIGN_BOUND_OF_ONE_CORE, FOREIGN_BOUND_OF_ALL_CORES * self._cpu_count)
        self._history: deque[tuple[float, float]] = deque()

    def judge(self, foreign_seconds: float | None, window_seconds: float) -> Share:
        """Add a window and judge it. None as foreign time gives no judgement."""
        if foreign_seconds is None or window_seconds <= 0:
            return Share(None, None)
        self._history.append((foreign_seconds, window_seconds))
        while sum(window for _, window in self._history) - self._history[0][1] > HISTORY_SECONDS:
            self._history.popleft()
        ratio = max(foreign_seconds, 0.0) / window_seconds / self._cpu_count
        return Share(
            ratio,
            self._alone(foreign_seconds, window_seconds) or self._together(foreign_seconds, window_seconds),
        )

    def _alone(self, foreign: float, window: float) -> str | None:
        if foreign - self._allowance(1) <= self._bound * window:
            return None
        return self._reason(foreign, window)

    def _together(self, foreign: float, window: float) -> str | None:
        """Blame this window only when it is suspect itself, not for what others before it have seen."""
        total = sum(each for each, _ in self._history)
        length = sum(each for _, each in self._history)
        bad = total - self._allowance(len(self._history)) > self._bound * length
        if length < HISTORY_MIN_SECONDS or not bad or foreign <= self._bound * window:
            return None
        return self._reason(total, length)

    def _allowance(self, windows: int) -> float:
        return ROUNDING_SIGMAS * float((ROUNDING_VARIANCE * self._cpu_count * windows) ** 0.5)

    def _reason(self, foreign: float, window: float) -> str:
        return (
            f"other processes took {foreign / window:.0%} of one CPU on the used cores during {window:.2g} s "
            f"(bound {self._bound:.0%})"
        )
