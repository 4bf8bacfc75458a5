"""The heartbeat carries what the board's own files say now, and nothing where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.database import Database
from edgedyno.agent.presence import Presence
from edgedyno.agent.telemetry import MAX_CLOCKS, LiveReadings
from edgedyno.core.messages import Telemetry, decode
from tests.agent.boards import board, copy_board, write
from tests.agent.fleet.samples import CAPABILITIES

if TYPE_CHECKING:
    from pathlib import Path


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
    payload = presence.beat(0)
    database.close()
    assert payload is not None
    beat = decode(payload, Telemetry)
    assert list(beat.temperature_celsius.values()) == [pytest.approx(61.234)]
    assert beat.frequency_hz == {"policy0": 1.5e9}


def test_a_board_without_files_sends_no_readings() -> None:
    assert LiveReadings(board("vm-bare") / "rootfs").read() == ({}, {})


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
