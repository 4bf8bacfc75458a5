"""The meter reads a sensor from a thread of its own, on recorded counters that the test moves."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.measure.energy import Metered, Unmetered, Window
from edgedyno.agent.measure.meter import Meter, open_meter
from edgedyno.agent.sensors.base import Unavailable
from tests.agent.boards import board, copy_board

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self


def _open(root: Path) -> Meter:
    meter = open_meter(root)
    assert isinstance(meter, Meter)
    return meter


class Burner:
    """Adds joules to a recorded RAPL counter at a known power, as a processor would."""

    def __init__(self, tree: Path) -> None:
        self._file = tree / "rootfs/sys/class/powercap/intel-rapl:0/energy_uj"
        self._end = threading.Event()
        self.watts = 5.0
        self._thread = threading.Thread(target=self._run, name="burner")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        joules, last = 1000.0, time.monotonic()
        while not self._end.wait(0.005):
            now = time.monotonic()
            joules, last = joules + self.watts * (now - last), now
            temporary = self._file.with_suffix(".new")
            temporary.write_text(str(int(joules * 1e6)))
            temporary.replace(self._file)


def _meter_25_watts(tree: Path) -> tuple[Metered | Unmetered, Window]:
    meter = _open(tree)
    with Burner(tree) as burner:
        idle_before = meter.record(0.6)
        burner.watts = 25.0
        meter.start(avoid_cpus=[0])
        time.sleep(0.15)
        started = time.monotonic()
        time.sleep(1.2)
        stopped = time.monotonic()
        time.sleep(0.15)
        running = meter.stop()
        burner.watts = 5.0
        idle_after = meter.record(0.6)
    window = Window(started, stopped, 10)
    return meter.summarise(running, window, idle_before=idle_before, idle_after=idle_after), window


def test_a_window_with_known_power(tmp_path: Path) -> None:
    for attempt in range(4):  # On a machine under load the test's own thread may falter.
        result, window = _meter_25_watts(copy_board("x86-rapl", tmp_path / str(attempt)))
        if isinstance(result, Metered):
            break
    assert isinstance(result, Metered), result
    assert result.power.mean == pytest.approx(25.0, rel=0.1)
    assert result.energy.value == pytest.approx(2.5 * window.seconds, rel=0.1)


def test_it_reads_away_from_the_workers_cores() -> None:
    meter = _open(board("x86-rapl"))
    cpus = os.sched_getaffinity(0)
    before = threading.active_count()
    meter.start(avoid_cpus=[min(cpus)])
    assert threading.active_count() == before + 1
    assert len(meter.stop()) >= 1
    assert threading.active_count() == before
    assert os.sched_getaffinity(0) == cpus


def test_starting_twice_is_an_error() -> None:
    meter = _open(board("x86-rapl"))
    meter.start()
    try:
        with pytest.raises(RuntimeError):
            meter.start()
    finally:
        meter.stop()
    assert meter.stop() == []


def test_a_sensor_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = _open(board("x86-rapl"))
    monkeypatch.setattr(meter.sensor, "read", lambda: Unavailable("the wire came off"))
    readings = meter.record(0.05)
    result = meter.summarise(readings, Window(0.0, 2.0, 1), idle_before=[], idle_after=[])
    assert isinstance(result, Unmetered)
    assert "the wire came off" in result.reason


def test_a_sensor_that_raises_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = _open(board("x86-rapl"))

    def explode() -> Unavailable:
        raise OSError("gone")

    monkeypatch.setattr(meter.sensor, "read", explode)
    assert meter.record(0.05) == []


def test_rates_keep_to_what_a_sensor_bears() -> None:
    assert _open(board("rpi5")).period_seconds == pytest.approx(0.1)
    assert _open(board("kunpeng920-2s")).period_seconds == pytest.approx(1.0)
    assert _open(board("jetson-orin-nano")).period_seconds == pytest.approx(3.379 / 2)


def test_no_meter_says_why() -> None:
    found = open_meter(board("rock-5b"))
    assert isinstance(found, Unavailable)
    assert "no power sensor" in found.reason
