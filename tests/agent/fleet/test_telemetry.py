"""The heartbeat carries what the board's own files say now, and nothing where there are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.database import Database
from edgedyno.agent.presence import Presence
from edgedyno.agent.sensors import rapl
from edgedyno.agent.telemetry import MAX_CLOCKS, MAX_COUNTER_GAP_SECONDS, Live, LiveReadings
from edgedyno.core.board import PowerSource
from edgedyno.core.messages import Telemetry, decode
from tests.agent.boards import board, copy_board, write
from tests.agent.fleet.samples import CAPABILITIES

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.board import Capabilities


def test_a_heartbeat_with_temperature_and_clock(tmp_path: Path) -> None:
    tree = copy_board("rpi4b", tmp_path)
    clock = [100.0]
    database = Database(tmp_path)
    presence = Presence(
        database,
        board="b",
        capabilities=CAPABILITIES,
        heartbeat_seconds=5,
        clock=lambda: clock[0],
        root=tree / "rootfs",
    )
    clock[0] += 5
    write(tree / "rootfs/sys/class/thermal/thermal_zone0/temp", "61234")
    write(tree / "rootfs/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "1500000")
    payload = presence.beat(0, 0)
    database.close()
    assert payload is not None
    beat = decode(payload, Telemetry)
    assert list(beat.temperature_celsius.values()) == [pytest.approx(61.234)]
    assert beat.frequency_hz == {"policy0": 1.5e9}


def test_a_board_without_files_sends_no_readings() -> None:
    assert LiveReadings(board("vm-bare") / "rootfs").read() == Live({}, {}, {}, [])


def test_many_policies_are_sent_in_part(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_cur_freq", "1000000")
    clocks = LiveReadings(tmp_path).read().frequency_hz
    assert len(clocks) <= MAX_CLOCKS
    assert list(clocks)[:2] == ["policy0", "policy3"]


def test_what_falls_silent_is_left_out(tmp_path: Path) -> None:
    tree = copy_board("rpi4b", tmp_path)
    live = LiveReadings(tree / "rootfs")
    (tree / "rootfs/sys/class/thermal/thermal_zone0/temp").unlink()
    assert live.read().temperature_celsius == {}
    assert live.read().frequency_hz


def _with_power(profile: str, source: str) -> Capabilities:
    power = [PowerSource("ipmi_dcmi", "machine", available=True), PowerSource(source, "x", available=True)]
    return structs.replace(CAPABILITIES, profile=profile, power=power)


def test_sampled_power_is_the_total_that_the_profile_names() -> None:
    tree = board("jetson-orin-nano")
    expected = read_capabilities(root=tree).power[0]
    found = LiveReadings(tree / "rootfs", _with_power("jetson-orin-nano", "ina3221_hwmon")).read().power_watts
    assert found == {"ina3221_hwmon": pytest.approx(expected.watts)}


def test_a_counter_gives_the_mean_since_the_last_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    file = tree / "rootfs/sys/class/powercap/intel-rapl:0/energy_uj"
    now = [100.0]
    monkeypatch.setattr(rapl, "time", SimpleNamespace(monotonic=lambda: now[0]))
    live = LiveReadings(tree / "rootfs", _with_power("x86-rapl", "rapl"))
    seen = []
    for seconds, joules in ((0.0, 10), (30.0, 310), (MAX_COUNTER_GAP_SECONDS + 1, 900), (30.0, 1200)):
        now[0] += seconds
        write(file, str(joules * 1_000_000))
        seen.append(live.read().power_watts)
    assert seen == [{}, {"rapl": pytest.approx(10.0)}, {}, {"rapl": pytest.approx(10.0)}]
    file.unlink()
    assert live.read().power_watts == {}


def test_without_its_profile_a_source_gives_no_power() -> None:
    tree = board("jetson-orin-nano") / "rootfs"
    assert LiveReadings(tree, _with_power("gone", "ina3221_hwmon")).read().power_watts == {}


def test_heartbeats_tell_of_throttling(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    counter = tree / "rootfs/sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count"
    write(counter, "5")
    live = LiveReadings(tree / "rootfs")
    assert live.throttle_visible
    assert live.read().throttled == []
    write(counter, "6")
    assert live.read().throttled == ["cpu2 core"]
    assert live.read().throttled == []
    assert not LiveReadings(board("vm-bare") / "rootfs").throttle_visible


def test_heartbeats_start_no_program_to_tell_of_throttling(tmp_path: Path) -> None:
    tree = copy_board("rpi5", tmp_path)  # get_throttled comes from vcgencmd there
    write(tree / "rootfs/sys/class/hwmon/hwmon3/in0_lcrit_alarm", "1")
    assert LiveReadings(tree / "rootfs").read().throttled == ["undervoltage alarm 0"]
