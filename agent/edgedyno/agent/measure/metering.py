"""One trial alone for as long as a power meter needs, watched second by second as a race's rounds are.

Inferences back to back in short bursts: between two of them flags and clocks are looked at. A second that a race
would void cannot be cut out of a slow meter's window, so too many of them leave no number. Not responsible for the
readings (meter) or for who is metered when (power).
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.measure.energy import Window
from edgedyno.agent.measure.validity import POLL_SECONDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edgedyno.agent.measure.supervisor import Worker
    from edgedyno.agent.measure.validity import Watch

ROUND_SECONDS = 1.0  # As in a race: what lasts shorter is not seen, what is judged over longer is diluted.
# What a disturbed second added is in the readings and their spread; more of them and it is another load's energy.
MOST_DISTURBED = 0.05
BURST_SECONDS = POLL_SECONDS


class Ran(NamedTuple):
    """A window that was run, and what disturbed it."""

    window: Window
    paused_ratio: float
    """The part of the window between bursts, in which the board was looked at."""
    rounds: int
    disturbed: int
    reasons: list[str]

    @property
    def disturbance(self) -> str | None:
        """What is to be said of it, where there is something."""
        if not self.disturbed:
            return None
        return f"{self.disturbed} of {self.rounds} s of the metered window were disturbed: {'; '.join(self.reasons)}"

    @property
    def void(self) -> bool:
        """Whether so much was disturbed that its energy says nothing about the trial."""
        return self.disturbed > MOST_DISTURBED * self.rounds


def run_watched(
    worker: Worker,
    watch: Watch,
    *,
    median_seconds: float,
    seconds: float,
    stop: threading.Event,
    between: Callable[[float], None],
    expected: tuple[str, ...] = (),
) -> Ran:
    """Run a worker for `seconds`, or until `stop` is set; reasons that begin as `expected` disturb nothing.

    `between` is called after each round with the seconds that are left. Raises TrialError.
    """
    count = max(1, round(min(BURST_SECONDS, seconds) / max(median_seconds, 1e-6)))
    pids = [worker.pid]
    began, ended, busy = 0.0, 0.0, 0.0
    inferences = rounds = disturbed = 0
    reasons: dict[str, str] = {}
    while not stop.is_set() and (not rounds or ended - began < seconds):
        watch.start(pids)
        first = time.monotonic()
        while time.monotonic() - first < ROUND_SECONDS:
            answer = worker.burst(count, count * median_seconds)
            began = began or answer.started_monotonic_seconds
            ended = answer.ended_monotonic_seconds
            busy += ended - answer.started_monotonic_seconds
            inferences += count
            watch.poll()
        found = [each for each in watch.stop(pids).validity.reasons if not each.startswith(expected)]
        rounds += 1
        disturbed += bool(found)
        # One reason of each kind, the latest: they differ in their numbers only.
        reasons.update({re.sub(r"[\d.]+", "#", text): text for text in found})
        between(max(0.0, seconds - (ended - began)))
    window = Window(began, ended, inferences)
    paused = 1 - busy / window.seconds if window.seconds > 0 else 0.0
    return Ran(window, max(0.0, paused), rounds, disturbed, list(reasons.values()))
