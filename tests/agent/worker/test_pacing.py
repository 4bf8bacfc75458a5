"""Arrivals by the clock, with a clock that moves only when somebody sleeps or infers: exact, no waiting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.worker import pacing

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD = 10_000_000
INFERENCE = 4_000_000


class Clock:
    """Nanoseconds that pass by sleeping and inferring; waking up is `late` too late."""

    def __init__(self, late: int = 0) -> None:
        self.now = 5_000_000_000
        self.slept = 0
        self.late = late

    def monotonic_ns(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += 1
        self.now += round(seconds * 1e9) + self.late

    def inferring(self, *nanoseconds: int) -> Callable[[], None]:
        """Return an invoke that takes these times in turn, and INFERENCE from then on."""
        times = list(nanoseconds)

        def invoke() -> None:
            self.now += times.pop(0) if times else INFERENCE

        return invoke


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic_ns=fake.monotonic_ns, sleep=fake.sleep))
    return fake


def test_a_model_that_keeps_up_answers_every_arrival(clock: Clock) -> None:
    answer = pacing.answer_arrivals(clock.inferring(), PERIOD, 5)
    assert answer["latency_ns"] == answer["invoke_ns"] == [INFERENCE] * 5
    assert answer["switch_ns"] == INFERENCE
    assert clock.slept == 5


def test_a_stall_shows_in_what_queues_behind_it_and_in_what_is_dropped(clock: Clock) -> None:
    """Arrivals at 0, 10, 20, … ms; the second takes 35 ms.

    It ends at 45 ms: those of 20 and 30 ms are dropped, that of 40 ms has waited 5 ms and takes 4. A clock
    around the inference alone would have seen 4 ms there, and no drops at all.
    """
    invoke = clock.inferring(INFERENCE, INFERENCE, 35_000_000)
    answer = pacing.answer_arrivals(invoke, PERIOD, 7)
    assert answer["latency_ns"] == [INFERENCE, 35_000_000, 9_000_000, INFERENCE, INFERENCE]
    assert answer["invoke_ns"] == [INFERENCE, 35_000_000, INFERENCE, INFERENCE, INFERENCE]


def test_a_late_timer_counts_and_does_not_add_up(clock: Clock) -> None:
    clock.late = 300_000
    answer = pacing.answer_arrivals(clock.inferring(), PERIOD, 4)
    assert answer["late_ns"] == [300_000] * 4
    assert answer["latency_ns"] == [INFERENCE + 300_000] * 4


def test_a_model_slower_than_the_rate_drops_and_never_queues_up(clock: Clock) -> None:
    answer = pacing.answer_arrivals(clock.inferring(INFERENCE, *[25_000_000] * 9), PERIOD, 9)
    assert answer["latency_ns"] == [25_000_000, 30_000_000, 25_000_000, 30_000_000]
    assert len(answer["late_ns"]) == 1


def test_what_waited_when_the_window_ended_was_dropped(clock: Clock) -> None:
    answer = pacing.answer_arrivals(clock.inferring(INFERENCE, 500_000_000), PERIOD, 3)
    assert answer["latency_ns"] == [500_000_000]


def test_a_stream_begins_at_its_moment_and_ends_with_the_window(clock: Clock) -> None:
    start = clock.now + 50_000_000
    answer = pacing.stream(clock.inferring(), start, start + 10_000_000)
    assert answer["started_ns"] == [start, start + INFERENCE, start + 2 * INFERENCE]
    assert answer["latency_ns"] == [INFERENCE] * 3


def test_a_stream_that_comes_too_late_gives_nothing(clock: Clock) -> None:
    assert pacing.stream(clock.inferring(), clock.now - 20, clock.now - 10)["latency_ns"] == []
