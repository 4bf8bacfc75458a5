"""Soak: sustained load, one trial after the other, in bursts of at most a second.

Being throttled is what a soak looks for, so it does not make a round void; other programs' load does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edgedyno.agent.measure.clocks import CLOCK_DROP_BOUND, STEADY_GOVERNORS
from edgedyno.agent.measure.race import mark
from edgedyno.agent.measure.scenarios.base import excused, fail, next_block, teller
from edgedyno.agent.measure.scenarios.outcome import end_portion_seconds, summarize_soak
from edgedyno.agent.measure.stopping import groups_of
from edgedyno.agent.measure.supervisor import TrialError
from edgedyno.core.result import Burst, Conditions
from edgedyno.core.statistics import median_interval

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.race import Pace
    from edgedyno.agent.measure.scenarios.base import Setting
    from edgedyno.core.job import Scenario

ROUND_SECONDS = 1.0  # one window of validity, as in the race
BURST_MOST_SECONDS = 1.0  # a cancelled job waits for the burst to end
BURST_LEAST_SECONDS = 0.02
BURSTS_IN_PORTION = 12  # the ratio of the last minute to the first needs 8 bursts of each
FALLEN_ROUNDS = 3  # one low reading may be a core that had gone idle when it was read
# How the validity rules begin what they say about heat.
HEAT = ("throttle ", "clock limit of ", "clock of ")


def run_soak(
    scenario: Scenario,
    group: Sequence[Contender],
    setting: Setting,
    *,
    stop: threading.Event,
    between: Callable[[Pace], None],
) -> None:
    """Load one trial after the other for the scenario's minutes, in random order, each on a board that cooled down.

    A soak is never cut by the time budget; one that was interrupted begins anew, because the heat is gone.
    Raises ValueError for another scenario.
    """
    if scenario.soak is None:
        raise ValueError("run_soak needs the scenario soak")
    seconds = scenario.soak.minutes * 60
    turn = [contender for contender in group if contender.alive and not contender.log.finished]
    setting.order.shuffle(turn)
    tell = teller(group, between)
    for index, contender in enumerate(turn):
        if index > 0:
            contender.log.waits.append(setting.gate.wait(stop))
        _forget(contender)
        others = (len(turn) - index - 1) * seconds
        _Soak(contender, group, setting, seconds).run(stop, tell, others)
        if stop.is_set():
            return
        _finish(contender, setting.precision, seconds)


def _forget(contender: Contender) -> None:
    log = contender.log
    log.bursts, log.quiet, log.void, log.throttled_after_seconds = [], None, None, None
    log.quiet_rounds = log.void_rounds = 0


def _finish(contender: Contender, precision: float, seconds: float) -> None:
    log = contender.log
    log.finished = True
    interval = median_interval(groups_of(log, count_void=False))
    log.settled = interval is not None and interval.relative_half_width <= precision
    summary = summarize_soak(log.bursts, throttled_after_seconds=log.throttled_after_seconds)
    if summary is not None and summary.slowdown.low is None and log.failure is None:
        log.notes["soak_short"] = f"{seconds:g} s hold too few inferences to bound the slowdown"


class _Soak:
    """One trial under sustained load."""

    def __init__(
        self, contender: Contender, group: Sequence[Contender], setting: Setting, seconds: float
    ) -> None:
        self._contender = contender
        self._watch = setting.watch
        self._pids = [each.worker.pid for each in group if each.worker]
        self._seconds = seconds
        portion = end_portion_seconds(seconds)
        self._burst_seconds = max(BURST_LEAST_SECONDS, min(BURST_MOST_SECONDS, portion / BURSTS_IN_PORTION))
        # Numbers of their own: no block is common to two soaks, which ran minutes apart.
        self._block = next_block([each.log for each in group])
        self._clocks = Clocks()
        self._began = 0.0

    def run(self, stop: threading.Event, tell: Callable[[float], None], after: float) -> None:
        """Run rounds until the time is over, the worker failed or `stop` is set.

        `tell` gets the seconds that are left, with those that are needed `after` this soak.
        """
        self._began = time.monotonic()
        while (left := self._seconds - self._gone()) > 0 and not stop.is_set() and self._contender.alive:
            # What is left at the end joins the last round: the validity rules see nothing in a short one.
            self._round(left if left < 2 * ROUND_SECONDS else ROUND_SECONDS, stop)
            tell(left + after)

    def _gone(self) -> float:
        return time.monotonic() - self._began

    def _round(self, seconds: float, stop: threading.Event) -> None:
        log = self._contender.log
        since = len(log.bursts)
        self._watch.start(self._pids)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not stop.is_set() and self._contender.alive:
            self._burst()
        observation = self._watch.stop(self._pids)
        if since == 0:
            log.notes["start_temperature_celsius"] = observation.conditions.temperature_celsius
        heat = [text for text in observation.validity.reasons if text.startswith(HEAT)]
        if log.throttled_after_seconds is None and (heat or self._clocks.fallen(observation.conditions)):
            log.throttled_after_seconds = self._gone()
        mark(log, since, excused(observation, HEAT))

    def _burst(self) -> None:
        contender = self._contender
        if contender.worker is None:
            return
        typical = max(contender.median_seconds, 1e-6)
        count = max(1, round(self._burst_seconds / typical))
        try:
            answer = contender.worker.burst(count, count * typical)
        except TrialError as error:
            fail(contender, error)
            return
        contender.median_seconds = sorted(answer.latency_seconds)[count // 2]
        contender.log.bursts.append(
            Burst(
                self._block,
                answer.started_monotonic_seconds,
                answer.latency_seconds,
                after_switch=0,
                cpu_seconds=answer.cpu_seconds,
                run_delay_seconds=answer.run_delay_seconds,
            )
        )
        self._block += 1


class Clocks:
    """Sees a held clock that fell slowly, over more rounds than one."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._low_rounds = 0

    def fallen(self, conditions: Conditions) -> bool:
        """Tell whether a clock that its governor holds has stayed below that of the first round."""
        held = {
            name: hertz
            for name, hertz in conditions.frequency_hz.items()
            if conditions.governor.get(name) in STEADY_GOVERNORS
        }
        self._first = self._first or held
        low = any(hertz < (1 - CLOCK_DROP_BOUND) * self._first.get(name, 0.0) for name, hertz in held.items())
        self._low_rounds = self._low_rounds + 1 if low else 0
        return self._low_rounds >= FALLEN_ROUNDS
