"""Judge CPU time that others took on the used cores, from windows too short for the kernel's clock ticks.

/proc/stat counts in ticks (10 ms), which says little about a window of 100 ms. So each window gets an
allowance for its rounding, and windows are also judged together over the last seconds.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from edgedyno.agent.host.proc import TICK_SECONDS

# An idle Linux spends below 1 % of each core on its own housekeeping. One core's delay is the delay of all
# threads that wait for each other, hence the bound for small sets counts against one core.
FOREIGN_BOUND_OF_ONE_CORE = 0.05
FOREIGN_BOUND_OF_ALL_CORES = 0.01
# Work on other cores shares caches, the memory bus, the boost clock, and in a virtual machine perhaps a core
# (two virtual CPUs may be two threads of one). A quarter of a core meets a quarter of the inferences, which a
# median bears; on many cores 2 % is housekeeping.
ELSEWHERE_BOUND_OF_ONE_CORE = 0.25
ELSEWHERE_BOUND_OF_ALL_CORES = 0.02
HISTORY_SECONDS = 5.0
HISTORY_MIN_SECONDS = 1.0
# Each counter is cut to whole ticks; the error of a difference has the variance tick²/6. A busy CPU moves two
# counters (user and system), and so does each worker. Three standard deviations keep false alarms rare.
ROUNDING_VARIANCE = 2 * TICK_SECONDS**2 / 6
ROUNDING_SIGMAS = 3.0


class Share(NamedTuple):
    """The part of the used cores that others took in a window, and why that voids the window."""

    ratio: float | None
    reason: str | None


class _Window(NamedTuple):
    foreign: float
    seconds: float
    variance: float


class ForeignLoad:
    """The foreign CPU time of the latest windows on some cores: `cpu_count` used ones, unless told otherwise."""

    def __init__(
        self,
        cpu_count: int,
        *,
        bound_of_one_core: float = FOREIGN_BOUND_OF_ONE_CORE,
        bound_of_all_cores: float = FOREIGN_BOUND_OF_ALL_CORES,
        where: str = "the used cores",
    ) -> None:
        self._cpu_count = max(cpu_count, 1)
        self._bounds = (bound_of_one_core, bound_of_all_cores)
        self._where = where
        self._history: deque[_Window] = deque()

    @property
    def _bound(self) -> float:
        return max(self._bounds[0], self._bounds[1] * self._cpu_count)

    def judge(
        self,
        foreign_seconds: float | None,
        window_seconds: float,
        *,
        workers: int = 1,
        cpu_count: int | None = None,
    ) -> Share:
        """Add a window in which the time of `workers` processes was taken off, and judge it.

        None as foreign time gives no judgement. `cpu_count` tells how many cores it was this time.
        """
        if foreign_seconds is None or window_seconds <= 0:
            return Share(None, None)
        self._cpu_count = cpu_count or self._cpu_count
        window = _Window(foreign_seconds, window_seconds, ROUNDING_VARIANCE * (self._cpu_count + workers))
        self._history.append(window)
        while sum(each.seconds for each in self._history) - self._history[0].seconds > HISTORY_SECONDS:
            self._history.popleft()
        ratio = max(foreign_seconds, 0.0) / window_seconds / self._cpu_count
        return Share(ratio, self._alone(window) or self._together(window))

    def _exceeds(self, window: _Window, *, sigmas: float = ROUNDING_SIGMAS) -> bool:
        return window.foreign - sigmas * math.sqrt(window.variance) > self._bound * window.seconds

    def _alone(self, window: _Window) -> str | None:
        return self._reason(window) if self._exceeds(window) else None

    def _together(self, window: _Window) -> str | None:
        """Blame this window only when it is suspect itself, not for what others before it have seen."""
        total = _Window(*(math.fsum(column) for column in zip(*self._history, strict=True)))
        if (
            total.seconds < HISTORY_MIN_SECONDS
            or not self._exceeds(total)
            or not self._exceeds(window, sigmas=0)
        ):
            return None
        return self._reason(total)

    def _reason(self, window: _Window) -> str:
        return (
            f"other processes took {window.foreign / window.seconds:.0%} of one CPU on {self._where} "
            f"during {window.seconds:.2g} s (bound {self._bound:.0%})"
        )
