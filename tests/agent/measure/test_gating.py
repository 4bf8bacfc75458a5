"""The gate waits for the start's temperature, gives up with a reason, and ends at once when told to stop."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.measure.gating import PLATEAU_SECONDS, Gate, Waited, with_gating
from edgedyno.core.result import Conditions
from tests.agent.boards import board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path

ZONE = "rootfs/sys/class/thermal/thermal_zone0/temp"


class Cooling(threading.Event):
    """Stands for the event that the gate waits on: each wait moves the clock, and the board's temperature."""

    def __init__(self, tree: Path, *celsius: float) -> None:
        super().__init__()
        self.now = 100.0
        self._tree = tree
        self._script = list(celsius)

    def wait(self, timeout: float | None = None) -> bool:
        """Let time pass; the last temperature stays."""
        self.now += timeout or 0.0
        if self._script:
            warm(self._tree, self._script.pop(0))
        return self.is_set()

    def clock(self) -> float:
        """Tell the scripted time."""
        return self.now


def warm(tree: Path, celsius: float) -> None:
    write(tree / ZONE, str(round(celsius * 1000)))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy a Raspberry Pi 4, whose start is at 45 degrees."""
    copied = copy_board("rpi4b", tmp_path)
    warm(copied, 45)
    return copied


def test_a_cool_board_does_not_wait(tree: Path) -> None:
    gate = Gate(tree, limit_seconds=60)
    waited = gate.wait(threading.Event())
    assert waited.reason is None
    assert waited.seconds < 1
    assert list(waited.temperature_celsius.values()) == [45.0]


def test_it_waits_until_the_start_band_is_reached(tree: Path) -> None:
    cooling = Cooling(tree, 58, 52, 49, 47.5, 46)
    gate = Gate(tree, limit_seconds=60, clock=cooling.clock)
    warm(tree, 65)
    waited = gate.wait(cooling)
    assert (waited.seconds, waited.reason) == (4.0, None)
    assert list(waited.temperature_celsius.values()) == [47.5]


def test_the_limit_holds_for_all_waits_together(tree: Path) -> None:
    cooling = Cooling(tree, *(65 - step for step in range(10)))
    gate = Gate(tree, limit_seconds=5, clock=cooling.clock)
    warm(tree, 65)
    waited = gate.wait(cooling)
    assert waited.seconds == 5.0
    assert waited.reason is not None
    assert waited.reason.startswith("not cool after 5 s: ")
    assert waited.reason.endswith("is at 61.0 °C, to begin at 48.0 °C")
    assert gate.wait(cooling).seconds == 0.0
    assert gate.spent_seconds == 5.0


def test_it_does_not_wait_for_what_will_not_come(tree: Path) -> None:
    cooling = Cooling(tree, 60, 58, 56)
    gate = Gate(tree, limit_seconds=600, clock=cooling.clock)
    warm(tree, 65)
    waited = gate.wait(cooling)
    assert waited.seconds == pytest.approx(PLATEAU_SECONDS + 3, abs=2)
    assert (waited.reason or "").startswith("no cooler since 30 s: ")


def test_where_the_board_slows_down_is_too_hot_to_begin_even_at_the_start(tree: Path) -> None:
    warm(tree, 78)  # the profile of the Raspberry Pi 4 states 80 degrees
    cooling = Cooling(tree, 75, 72, 69)
    waited = Gate(tree, limit_seconds=60, clock=cooling.clock).wait(cooling)
    assert (waited.seconds, waited.reason) == (3.0, None)


def test_a_gate_of_a_runner_that_was_started_again_keeps_the_first_start(tree: Path) -> None:
    first = Gate(tree, limit_seconds=60)
    warm(tree, 60)
    cooling = Cooling(tree, 55, 47)
    again = Gate(tree, limit_seconds=60, start_celsius=first.start_celsius, clock=cooling.clock)
    assert again.wait(cooling).seconds == 2.0


def test_stop_ends_a_real_wait(tree: Path) -> None:
    gate = Gate(tree, limit_seconds=60)
    warm(tree, 65)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    waited = gate.wait(stop)
    assert time.monotonic() - began < 30
    assert (waited.reason or "").startswith("stopped: ")


def test_a_board_without_thermal_zones_cannot_be_checked() -> None:
    assert Gate(board("vm-bare"), limit_seconds=60).wait(threading.Event()) == Waited(
        0.0, "temperature: no thermal zone"
    )


def test_zones_that_fall_silent(tree: Path) -> None:
    gate = Gate(tree, limit_seconds=60)
    (tree / ZONE).unlink()
    assert gate.wait(threading.Event()).reason == "temperature: no thermal zone answers any more"


def test_the_waits_are_part_of_the_conditions() -> None:
    conditions = Conditions(kernel="k")
    assert with_gating(conditions, []) == conditions
    told = with_gating(conditions, [Waited(3.0, "stopped"), Waited(2.0)])
    assert (told.gating_seconds, told.gating_reason, told.kernel) == (5.0, None, "k")
