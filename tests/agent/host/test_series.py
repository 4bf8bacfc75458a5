"""Temperatures, clocks and throttling over time: collected between bursts, cut to a trial, thinned without loss."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.host.throttle import ThrottleReading
from edgedyno.agent.measure.clocks import ClockState
from edgedyno.agent.measure.journal import Journal
from edgedyno.agent.measure.series import MOST_MOMENTS, Moment, Series, SeriesLog, series_of
from edgedyno.agent.measure.validity import POLL_SECONDS, Watch
from edgedyno.core.result import Burst, Samples
from tests.agent.boards import board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

QUIET = ThrottleReading({}, frozenset())


def burst(began: float, seconds: float = 1.0) -> Burst:
    return Burst(0, began, [seconds])


def test_a_watch_collects_while_it_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = copy_board("rock-5b", tmp_path)
    monkeypatch.setattr("edgedyno.agent.measure.validity.POLL_SECONDS", 0.0)
    watch = Watch(tree, cpus=[4, 5, 6, 7])
    watch.start()
    write(tree / "rootfs/sys/class/thermal/thermal_zone0/temp", "84000")
    write(tree / "rootfs/sys/class/thermal/cooling_device1/cur_state", "2")
    watch.poll()
    write(tree / "rootfs/sys/class/thermal/cooling_device1/cur_state", "0")
    observation = watch.stop()
    taken = watch.series.take()
    assert [moment.throttled for moment in taken.moments] == [[], ["thermal-cpufreq-1 1"], []]
    assert taken.moments[1].temperatures["soc-thermal"] == 84.0
    assert taken.moments[0].clocks["policy4"] > 0
    assert taken.moments[0].clocks["devfreq dmc"] == 528e6
    assert taken.throttle_visible
    assert 0 < taken.cost_seconds < 1
    assert not observation.validity.valid
    assert watch.series.take().moments == []


def test_it_looks_twice_a_second_or_more() -> None:
    assert POLL_SECONDS <= 0.5


def test_temperatures_that_take_long_are_read_at_the_ends_of_windows_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedyno.agent.measure.validity.POLL_SECONDS", 0.0)
    monkeypatch.setattr("edgedyno.agent.measure.snapshot.Lens.temperature_cost", lambda _: 0.01)
    watch = Watch(copy_board("rpi5", tmp_path), cpus=[0])
    watch.start()
    watch.poll()
    watch.stop()
    assert [bool(moment.temperatures) for moment in watch.series.take().moments] == [True, False, True]


def test_a_memory_clock_that_is_held_and_falls_voids(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    dmc = tree / "rootfs/sys/class/devfreq/dmc"
    write(dmc / "governor", "performance")
    write(dmc / "cur_freq", "2112000000")
    watch = Watch(tree, cpus=[4])
    watch.start()
    write(dmc / "cur_freq", "528000000")
    reasons = watch.stop().validity.reasons
    assert "clock of devfreq dmc fell from 2112 to 528 MHz (bound 5%)" in reasons


def test_a_memory_clock_that_moves_by_design_is_named(tmp_path: Path) -> None:
    tree = copy_board("rock-5b", tmp_path)
    watch = Watch(tree, cpus=[4])
    watch.start()
    write(tree / "rootfs/sys/class/devfreq/dmc/cur_freq", "2112000000")
    seen = watch.stop()
    assert not [text for text in seen.validity.reasons if "dmc" in text]
    assert any("dmc_ondemand" in text for text in seen.validity.not_checkable)
    assert seen.conditions.frequency_hz["devfreq dmc"] == 528e6


def test_counters_that_move_are_throttling_and_where_they_begin_is_not() -> None:
    series = Series(throttle_visible=True)
    for at, count in enumerate((7, 7, 9)):
        reading = ThrottleReading({"oc3_event_cnt": count}, frozenset())
        series.add(float(at), {}, {}, reading, cost_seconds=0.0)
    assert [moment.throttled for moment in series.take().moments] == [[], [], ["oc3_event_cnt"]]


def test_a_series_is_cut_to_its_trial() -> None:
    series = Series(throttle_visible=False)
    for at in range(100):
        state = ClockState("performance", 1e9 + at, 2e9)
        series.add(float(at), {"cpu": 40.0 + at}, {"policy0": state}, QUIET, cost_seconds=0.001)
    found = series_of(series.take(), [burst(10.0), burst(19.0)])
    assert found is not None
    assert found.monotonic_seconds == [float(at) for at in range(10, 21)]
    assert found.temperature_celsius["cpu"][0] == 50.0
    assert found.frequency_hz["policy0"][-1] == 1e9 + 20
    assert not found.throttle_visible
    assert round(found.cost_seconds, 6) == 0.011
    assert series_of(SeriesLog(), [burst(1.0)]) is None
    assert series_of(SeriesLog([Moment(1.0)]), []) is None


def test_a_long_series_is_thinned_and_loses_no_extreme() -> None:
    moments = [Moment(float(at), {"cpu": 50.0}, {"policy0": 2e9}) for at in range(5000)]
    moments[3333] = Moment(3333.0, {"cpu": 91.0}, {"policy0": 6e8}, ["throttled"])
    found = series_of(SeriesLog(moments), [burst(0.0, 5000.0)])
    assert found is not None
    assert len(found.monotonic_seconds) <= MOST_MOMENTS
    assert found.thinned == 9
    assert max(each or 0 for each in found.temperature_celsius["cpu"]) == 91.0
    assert min(each or 9e9 for each in found.frequency_hz["policy0"]) == 6e8
    assert [flags for flags in found.throttled if flags] == [["throttled"]]


def test_the_journal_keeps_it_over_a_restart(tmp_path: Path) -> None:
    Journal(tmp_path).add_series(SeriesLog([Moment(1.0, {"cpu": 50.0})], 0.1, throttle_visible=False))
    again = Journal(tmp_path)
    assert not again.series().throttle_visible
    again.add_series(SeriesLog([Moment(2.0)], 0.2, throttle_visible=False))
    again.add_series(SeriesLog())
    kept = Journal(tmp_path).series()
    assert not kept.throttle_visible
    assert [moment.at for moment in kept.moments] == [1.0, 2.0]
    assert round(kept.cost_seconds, 6) == 0.3


def test_old_samples_have_no_series() -> None:
    old = b'{"trial":"t","warmup_seconds":[],"bursts":[]}'
    assert msgspec.json.decode(old, type=Samples).board is None


def test_looking_costs_little() -> None:
    """The cost is stated with the series; here only that it is that of the looks, and not of anything else."""
    watch = Watch(board("kunpeng920-2s"), cpus=list(range(32)))
    began = time.perf_counter()
    watch.start()
    watch.stop()
    assert watch.series.cost_seconds <= time.perf_counter() - began
