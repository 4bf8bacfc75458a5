"""The race: all trials in short bursts, in random order within each block, until each is known well enough.

Drift of the machine cancels within a block, so ratios between trials are far surer than their medians. Not
responsible for which trials there are, nor for what a result says about them.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from edgedyno.agent.measure.placement import move_runner
from edgedyno.agent.measure.stopping import (
    DIFFERENCE_ERROR,
    Estimate,
    estimate,
    is_dominated,
    is_settled,
    least_samples,
    ratio_of,
    remaining_seconds,
)
from edgedyno.agent.measure.validity import Observation, Watch, combine
from edgedyno.core.statistics import alpha_of_look

if TYPE_CHECKING:
    import random
    import threading
    from collections.abc import Callable, Sequence

    from edgedyno.agent.measure.contender import Contender
    from edgedyno.agent.measure.journal import TrialLog
    from edgedyno.agent.measure.placement import Placement

ROUND_SECONDS = (
    1.0  # one window of validity: /proc/stat counts in ticks of 10 ms, so shorter ones see nothing
)
LOOK_GROWTH = 1.2  # a look costs milliseconds of computing; geometric looks keep their number small
FIRST_LOOK_ROUNDS = 1
# On a board that is never quiet, waiting for quiet rounds would take all the time and give nothing: after
# this many void rounds, and twice as many as quiet ones, void rounds are counted, and the result says that
# it is void.
HOPELESS_VOID_ROUNDS = 15
ELIMINATION_LOOKS = 2  # nothing is dropped on one look (docs/method.md)


class Pace(Struct, frozen=True):
    """What a race tells between rounds."""

    finished: int
    eta_seconds: float | None


class Race:
    """One group of loaded contenders; the first is the reference, which every block holds."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        *,
        precision: float,
        seconds: float,
        watch: Watch,
        placement: Placement,
        order: random.Random,
        loads: int = 1,
    ) -> None:
        """Take loaded contenders; each is to have `loads` processes in all, one after the other."""
        self._contenders = list(contenders)
        self._precision = precision
        self._seconds = seconds
        self._watch = watch
        self._placement = placement
        self._order = order
        self._loads = loads
        self._loaded = 1
        self._began = time.monotonic()
        self._spent_share = 0.0
        self._rounds = 0
        self._next_look = FIRST_LOOK_ROUNDS
        bursts = [burst.block for contender in contenders for burst in contender.log.bursts]
        self._block = max(bursts, default=-1) + 1

    def run(self, stop: threading.Event, between: Callable[[Pace], None]) -> None:
        """Run rounds until every contender is finished, time is up, or `stop` is set.

        `between` is called after each round, never inside one. Whoever is not finished at the end ran out
        of time.
        """
        estimates: dict[str, Estimate] = {}
        while not stop.is_set() and self._gone() < self._seconds:
            active = self._active()
            if not active:
                break
            if self._gone() >= self._seconds * self._loaded / self._loads:
                self._reload()
                continue
            self._round(active, stop)
            self._rounds += 1
            if self._rounds >= self._next_look:
                self._next_look = max(self._rounds + 1, round(self._rounds * LOOK_GROWTH))
                estimates = self._look()
            between(self._pace(estimates))
        if not stop.is_set():
            self._finish()

    def _gone(self) -> float:
        return time.monotonic() - self._began

    def _unfinished(self) -> list[Contender]:
        return [contender for contender in self._contenders if contender.alive and not contender.log.finished]

    def _active(self) -> list[Contender]:
        """Return who runs in the next block: the unfinished, the reference and the leader, if there is time."""
        unfinished = self._unfinished()
        if not unfinished:
            return []
        needed = {id(contender) for contender in unfinished}
        alive = [contender for contender in self._contenders if contender.alive]
        needed.update(id(contender) for contender in (alive[0], self._leader(alive)))
        return self._in_time([contender for contender in alive if id(contender) in needed])

    def _in_time(self, contenders: Sequence[Contender]) -> list[Contender]:
        """Return those whose next burst would end before time is up."""
        left = self._seconds - self._gone()
        return [contender for contender in contenders if contender.burst_seconds <= left]

    @staticmethod
    def _leader(alive: Sequence[Contender]) -> Contender:
        return min(alive, key=lambda contender: contender.median_seconds)

    def _round(self, active: list[Contender], stop: threading.Event) -> None:
        """Run blocks for ROUND_SECONDS under one watch, then mark their bursts."""
        marks = {contender.log.trial: len(contender.log.bursts) for contender in active}
        self._place(active)
        pids = [contender.worker.pid for contender in active if contender.worker]
        self._watch.start(pids)
        deadline = time.monotonic() + ROUND_SECONDS
        while True:
            self._order.shuffle(active)
            for contender in active:
                if self._in_time([contender]):
                    contender.burst(self._block)
            self._watch.poll()
            self._block += 1
            if time.monotonic() >= deadline or stop.is_set() or not self._in_time(active):
                break
        observation = self._watch.stop(pids)
        for contender in active:
            mark(contender.log, marks[contender.log.trial], observation)

    def _reload(self) -> None:
        """Give every trial a fresh process; in random order, as memory goes by who asks first."""
        self._loaded += 1
        alive = [contender for contender in self._contenders if contender.alive]
        for contender in self._order.sample(alive, len(alive)):
            contender.reload()

    def _place(self, active: Sequence[Contender]) -> None:
        """Give each trial its CPUs for this round, and leave them to it."""
        places = [(contender, self._placement.cpus(contender.cell, self._rounds)) for contender in active]
        for contender, cpus in places:
            contender.move(cpus)
        self._watch.threads_apart = all(
            len(cpus) == contender.cell.threads for contender, cpus in places if contender.cell.threads > 1
        )
        move_runner(self._placement.spare([contender.cell for contender in active], self._rounds))

    def _look(self) -> dict[str, Estimate]:
        """Estimate everyone and finish whoever is settled or eliminated."""
        share = self._gone() / self._seconds
        alive = [contender for contender in self._contenders if contender.alive]
        alpha = alpha_of_look(
            DIFFERENCE_ERROR, previous=self._spent_share, now=share, comparisons=2 * max(1, len(alive))
        )
        self._spent_share = share
        estimates = self._estimate(alive, alpha)
        for contender in self._unfinished():
            now = estimates[contender.log.trial]
            least = least_samples(contender.median_seconds, len(alive), self._seconds)
            if is_settled(now, precision=self._precision, least_samples=least):
                contender.log.settled = contender.log.finished = True
            elif self._is_eliminated(contender, alive, alpha):
                contender.log.eliminated = contender.log.finished = True
        return estimates

    def _estimate(self, alive: list[Contender], alpha: float) -> dict[str, Estimate]:
        for contender in alive:
            own = estimate(contender.log, None, alpha=alpha, count_void=is_hopeless(contender.log))
            if own.median is not None:
                contender.median_seconds = own.median.value
        leader = self._leader(alive).log if alive else None
        return {
            contender.log.trial: estimate(
                contender.log, leader, alpha=alpha, count_void=is_hopeless(contender.log)
            )
            for contender in alive
        }

    def _is_eliminated(self, contender: Contender, alive: list[Contender], alpha: float) -> bool:
        count_void = is_hopeless(contender.log)
        rivals = [
            rival for rival in alive if rival is not contender and is_dominated(contender.cell, rival.cell)
        ]
        ratios = [ratio_of(contender.log, rival.log, count_void=count_void, alpha=alpha) for rival in rivals]
        beaten = any(ratio is not None and ratio.low > 1 + self._precision for ratio in ratios)
        contender.slower_looks = contender.slower_looks + 1 if beaten else 0
        return contender.slower_looks >= ELIMINATION_LOOKS

    def _finish(self) -> None:
        """Take a last look, then call time for whoever is left."""
        if self._unfinished():
            self._look()
        for contender in self._unfinished():
            contender.log.finished = True

    def _pace(self, estimates: dict[str, Estimate]) -> Pace:
        left = max(0.0, self._seconds - self._gone())
        open_estimates = [
            estimates[contender.log.trial]
            for contender in self._unfinished()
            if contender.log.trial in estimates
        ]
        guess = remaining_seconds(open_estimates, precision=self._precision, gone_seconds=self._gone())
        finished = sum(contender.log.finished for contender in self._contenders)
        return Pace(finished, left if guess is None else min(left, guess))


def _brief(observation: Observation) -> Observation:
    """Keep one reason of each kind, the latest: they differ only in their numbers from round to round."""
    kinds = {re.sub(r"[\d.]+", "#", text): text for text in observation.validity.reasons}
    validity = structs.replace(observation.validity, reasons=list(kinds.values()))
    return structs.replace(observation, validity=validity)


def is_hopeless(log: TrialLog) -> bool:
    """Return whether so many rounds were void that waiting for quiet ones makes no sense."""
    return log.void_rounds >= HOPELESS_VOID_ROUNDS and log.void_rounds > 2 * log.quiet_rounds


def mark(log: TrialLog, since: int, observation: Observation) -> None:
    """Flag the bursts of a void round, and add the round to the trial's conditions."""
    if len(log.bursts) == since:
        return
    if observation.validity.valid:
        log.quiet = combine([log.quiet, observation] if log.quiet else [observation])
        log.quiet_rounds += 1
        return
    log.void = _brief(combine([log.void, observation] if log.void else [observation]))
    log.void_rounds += 1
    log.bursts[since:] = [structs.replace(burst, valid=False) for burst in log.bursts[since:]]
