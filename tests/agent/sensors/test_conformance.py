"""Every sensor plugin keeps the contract: on a board that has it, on one that has not, on an empty one."""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.place import locate
from edgedyno.agent.sensors.base import Available, Reading, Sensor, Unavailable
from edgedyno.agent.sensors.registry import GROUP, ORDER, probe_sensors
from tests.agent.boards import board

if TYPE_CHECKING:
    from pathlib import Path

POINTS = sorted(entry_points(group=GROUP), key=lambda point: point.name)
HAS = {
    "rapl": "x86-rapl",
    "ina3221_hwmon": "jetson-orin-nano",
    "ina3221_iio": "jetson-nano",
    "pmic": "rpi5",
    "ipmi_dcmi": "kunpeng920-2s",
}


@pytest.fixture(params=POINTS, ids=lambda point: point.name, name="point")
def _point(request: pytest.FixtureRequest) -> EntryPoint:
    point = request.param
    assert isinstance(point, EntryPoint)
    return point


def test_the_contract_is_small() -> None:
    members = [name for name, _ in inspect.getmembers(Sensor) if not name.startswith("_")]
    assert len({*members, *Sensor.__annotations__}) <= 6


def test_names_agree(point: EntryPoint) -> None:
    sensor: Sensor = point.load()(locate(board("vm-bare")), None)
    assert sensor.spec.source == point.name
    assert point.name in ORDER
    assert sensor.spec.min_window_seconds > sensor.spec.lead_seconds


def test_a_board_without_it(point: EntryPoint, tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    for root in (board("vm-bare"), tmp_path):
        sensor: Sensor = point.load()(locate(root), None)
        found, reading = sensor.probe(), sensor.read()
        assert isinstance(found, Unavailable)
        assert found.reason
        assert isinstance(reading, Unavailable)


@pytest.mark.parametrize("name", sorted(HAS))
def test_a_board_with_it(name: str) -> None:
    place = locate(board(HAS[name]))
    rule = read_board(place).profile.power_rule(name)
    (point,) = [each for each in POINTS if each.name == name]
    sensor: Sensor = point.load()(place, rule)
    found, reading = sensor.probe(), sensor.read()
    assert isinstance(found, Available)
    assert found.scope
    assert found.resolution > 0
    assert isinstance(reading, Reading)
    assert reading.value >= 0
    hash(reading.mark)


def test_a_plugin_that_fails_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgedyno.agent.sensors.rapl import Rapl

    def explode(self: Rapl) -> Available:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(Rapl, "probe", explode)
    place = locate(board("jetson-nano"))
    found = {each.source: each.found for each in probe_sensors(place, read_board(place).profile)}
    assert isinstance(found["ina3221_iio"], Available)
    failed = found["rapl"]
    assert isinstance(failed, Unavailable)
    assert "ZeroDivisionError: boom" in failed.reason
