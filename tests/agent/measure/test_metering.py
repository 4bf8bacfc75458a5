"""A metered window is watched as a race's rounds are. Stand-ins for worker and watch, on a clock of their own."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from edgedyno.agent.measure.metering import run_watched
from edgedyno.agent.measure.scenarios import looked_for
from edgedyno.core.job import Scenario, Soak
from edgedyno.core.result import Validity

if TYPE_CHECKING:
    from typing import Protocol

    from edgedyno.agent.measure.metering import Ran
    from edgedyno.agent.measure.supervisor import Worker
    from edgedyno.agent.measure.validity import Watch

    class Run(Protocol):
        def __call__(
            self, reasons: dict[int, str], seconds: float = 40.0, expected: tuple[str, ...] = ()
        ) -> Ran: ...


EACH_SECONDS = 0.01
LOOK_SECONDS = 0.002


class Scripted:
    """A worker that takes 10 ms for an inference, and a watch that finds what the script says of each second."""

    pid = 1

    def __init__(self, reasons: dict[int, str]) -> None:
        self.now = 100.0
        self.seconds = 0
        self.polls = 0
        self.bursts: list[int] = []
        self._reasons = reasons

    def monotonic(self) -> float:
        return self.now

    def burst(self, count: int, _expected_seconds: float) -> SimpleNamespace:
        began = self.now
        self.now += count * EACH_SECONDS
        self.bursts.append(count)
        return SimpleNamespace(started_monotonic_seconds=began, ended_monotonic_seconds=self.now)

    def start(self, pids: list[int]) -> None:
        assert pids == [1]

    def poll(self) -> None:
        self.polls += 1
        self.now += LOOK_SECONDS

    def stop(self, _pids: list[int]) -> SimpleNamespace:
        self.seconds += 1
        reason = self._reasons.get(self.seconds)
        return SimpleNamespace(validity=Validity(valid=reason is None, reasons=[reason] if reason else []))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def play(reasons: dict[int, str], seconds: float = 40.0, expected: tuple[str, ...] = ()) -> Ran:
        scripted = Scripted(reasons)
        left: list[float] = []
        monkeypatch.setattr("edgedyno.agent.measure.metering.time.monotonic", scripted.monotonic)
        ran = run_watched(
            cast("Worker", scripted),
            cast("Watch", scripted),
            median_seconds=EACH_SECONDS,
            seconds=seconds,
            stop=threading.Event(),
            between=left.append,
            expected=expected,
        )
        assert left == sorted(left, reverse=True)
        assert (len(left), left[-1]) == (ran.rounds, 0.0)
        assert scripted.polls == len(scripted.bursts)
        # Throttle flags are to be seen twice a second at least (docs/method.md).
        assert max(scripted.bursts) * EACH_SECONDS <= 0.5
        assert ran.window.inferences == sum(scripted.bursts)
        return ran

    return play


def test_a_quiet_window_has_nothing_to_say(run: Run) -> None:
    ran = run({})
    assert (ran.disturbed, ran.disturbance, ran.void) == (0, None, False)
    assert 40.0 <= ran.window.seconds < 41.5
    assert ran.window.inferences * EACH_SECONDS == pytest.approx(
        ran.window.seconds * (1 - ran.paused_ratio), abs=1e-6
    )
    assert ran.paused_ratio == pytest.approx(0.005, rel=0.1)


def test_a_disturbed_second_of_many_is_said_and_counts(run: Run) -> None:
    ran = run({7: "throttle flag set: throttled"})
    assert not ran.void
    assert ran.disturbance == (
        f"1 of {ran.rounds} s of the metered window were disturbed: throttle flag set: throttled"
    )


def test_more_than_one_in_twenty_leaves_no_number_and_each_kind_of_reason_once(run: Run) -> None:
    ran = run({second: f"other processes took {second}0% of one CPU" for second in range(3, 9)})
    assert ran.void
    assert ran.disturbance is not None
    assert ran.disturbance.endswith("disturbed: other processes took 80% of one CPU")


def test_a_short_window_bears_no_disturbance(run: Run) -> None:
    assert run({1: "the hypervisor took 9% of the cores"}, seconds=2.4).void


def test_heat_does_not_disturb_a_soak(run: Run) -> None:
    expected = looked_for(Scenario(soak=Soak(minutes=1)))
    hot = dict.fromkeys(range(1, 100), "throttle flag set: throttled")
    assert run(hot, expected=expected).disturbed == 0
    assert run({1: "the hypervisor took 9% of the cores"}, expected=expected).disturbed == 1
    assert looked_for("single-stream") == ()
