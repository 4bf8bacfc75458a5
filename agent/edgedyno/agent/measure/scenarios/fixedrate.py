"""Fixed rate: a camera's inputs arrive by the clock, one waits at most, and latency counts from the arrival."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from edgedyno.agent.measure.scenarios.base import fail, teller
from edgedyno.agent.measure.scenarios.windows import alternate
from edgedyno.agent.measure.stopping import groups_of
from edgedyno.agent.measure.supervisor import TrialError
from edgedyno.core.manifest import Failure
from edgedyno.core.result import Burst
from edgedyno.core.statistics import median_interval

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.race import Pace
    from edgedyno.agent.measure.scenarios.base import Setting
    from edgedyno.core.job import Scenario

ARRIVALS_LEAST = 2


def run_fixed_rate(
    scenario: Scenario,
    group: Sequence[Contender],
    setting: Setting,
    *,
    stop: threading.Event,
    between: Callable[[Pace], None],
) -> None:
    """Measure windows of every trial at the scenario's rate. Raises ValueError for another scenario."""
    if scenario.fixed_rate is None:
        raise ValueError("run_fixed_rate needs the scenario fixed-rate")
    cameras = [Camera(contender, 1.0 / scenario.fixed_rate.fps) for contender in group]
    alternate(cameras, setting, seconds=setting.seconds, stop=stop, tell=teller(group, between))


class Camera:
    """A trial whose inputs come by the clock."""

    def __init__(self, contender: Contender, period_seconds: float) -> None:
        self._contender = contender
        self._period_seconds = period_seconds
        self._late_seconds: list[float] = []
        self._invoke_seconds: list[float] = []

    @property
    def log(self) -> TrialLog:
        """What was measured of it."""
        return self._contender.log

    @property
    def pids(self) -> list[int]:
        """Its worker, as long as it lives."""
        return [self._contender.worker.pid] if self._contender.worker else []

    @property
    def inference_seconds(self) -> float:
        """About how long one inference takes."""
        return self._contender.median_seconds

    @property
    def excuses(self) -> tuple[str, ...]:
        """Nothing is excused: one worker with room of its own disturbs nobody."""
        return ()

    def window(self, block: int, seconds: float) -> Burst:
        """Let inputs arrive for so long; raises TrialError."""
        worker = self._contender.worker
        if worker is None:
            raise TrialError(Failure("worker.gone", "the worker is gone"))
        arrivals = max(ARRIVALS_LEAST, round(seconds / self._period_seconds))
        answer = worker.paced(self._period_seconds, arrivals, self.inference_seconds)
        self._note(answer.late_seconds, answer.invoke_seconds)
        return Burst(
            block,
            answer.started_monotonic_seconds,
            [answer.switch_seconds, *answer.latency_seconds],
            after_switch=1,
            cpu_seconds=answer.cpu_seconds,
            run_delay_seconds=answer.run_delay_seconds,
            arrivals=arrivals,
        )

    def _note(self, late_seconds: list[float], invoke_seconds: list[float]) -> None:
        """Say what the timer costs, and whether the model is too slow for the rate at all."""
        self._late_seconds += late_seconds
        self._invoke_seconds += invoke_seconds
        invoke = statistics.fmean(self._invoke_seconds)
        self.log.notes["invoke_mean_seconds"] = invoke
        if self._late_seconds:
            self.log.notes["timer_late_p50_seconds"] = statistics.median(self._late_seconds)
            self.log.notes["timer_late_max_seconds"] = max(self._late_seconds)
        self.log.notes.pop("overload", None)
        if invoke > self._period_seconds:
            self.log.notes["overload"] = (
                f"one inference takes {invoke * 1e3:.3g} ms on average, inputs come every "
                f"{self._period_seconds * 1e3:.3g} ms: most deadlines cannot be met here"
            )

    def fail(self, error: TrialError) -> None:
        """Write down why it cannot go on."""
        fail(self._contender, error)

    def values(self, burst: Burst) -> list[float]:
        """Return the latencies of a window."""
        return burst.latency_seconds[burst.after_switch :]

    def precision(self) -> float:
        """Return the relative half-width of the median's interval."""
        interval = median_interval(groups_of(self.log, count_void=False))
        return math.inf if interval is None else interval.relative_half_width
