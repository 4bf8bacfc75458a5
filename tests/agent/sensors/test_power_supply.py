"""Batteries and USB inputs: what discharges is read, what was negotiated is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.place import locate
from edgedyno.agent.sensors.base import Available, Reading, Unavailable
from edgedyno.agent.sensors.power_supply import PowerSupply
from tests.agent.boards import board, write

if TYPE_CHECKING:
    from pathlib import Path


def supply(tree: Path, name: str, **files: str) -> PowerSupply:
    for file, text in files.items():
        write(tree / f"rootfs/sys/class/power_supply/{name}/{file}", text + "\n")
    return PowerSupply(locate(tree))


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    return found.reason


def test_a_battery_that_discharges(tmp_path: Path) -> None:
    sensor = supply(tmp_path, "BAT0", type="Battery", status="Discharging", power_now="8450000")
    found, reading = sensor.probe(), sensor.read()
    assert isinstance(found, Available)
    assert found.scope == "battery output"
    assert isinstance(reading, Reading)
    assert reading.value == 8.45


def test_current_by_voltage(tmp_path: Path) -> None:
    files = {"type": "Battery", "status": "Discharging", "current_now": "-1200000", "voltage_now": "11400000"}
    reading = supply(tmp_path, "BAT1", **files).read()
    assert isinstance(reading, Reading)
    assert reading.value == pytest.approx(1.2 * 11.4)  # 13.68 W, flowing out


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", ""])
def test_a_battery_that_does_not_feed(tmp_path: Path, status: str) -> None:
    sensor = supply(tmp_path, "BAT0", type="Battery", status=status, power_now="8450000")
    assert "on battery only" in reason(sensor.probe())


def test_a_mouse_has_a_battery_too(tmp_path: Path) -> None:
    files = {"type": "Battery", "scope": "Device", "status": "Discharging", "power_now": "1"}
    assert "no battery" in reason(supply(tmp_path, "hid-mouse", **files).probe())


def test_two_batteries(tmp_path: Path) -> None:
    supply(tmp_path, "BAT0", type="Battery", status="Discharging", power_now="1000000")
    sensor = supply(tmp_path, "BAT1", type="Battery", status="Discharging", power_now="1000000")
    assert "in shares that nobody tells" in reason(sensor.probe())


def test_a_measuring_input(tmp_path: Path) -> None:
    files = {"type": "USB", "current_now": "900000", "voltage_now": "5050000"}
    found = supply(tmp_path, "axp20x-usb", **files).probe()
    assert isinstance(found, Available)
    assert found.scope == "DC input"


@pytest.mark.parametrize("name", ["tcpm-source-psy-4-0022", "ucsi-source-psy-USBC000:001"])
def test_a_contract_is_no_reading(tmp_path: Path, name: str) -> None:
    files = {"type": "USB", "current_now": "3000000", "voltage_now": "9000000"}
    assert "negotiated contract" in reason(supply(tmp_path, name, **files).probe())


def test_the_contract_of_a_recorded_board_is_named() -> None:
    sources = read_capabilities(root=board("rock-5b")).power
    assert not any(source.available for source in sources)
    (contract,) = [source for source in sources if source.source == "usb_pd_contract"]
    assert "the same idle and under load" in (contract.reason or "")


@pytest.mark.parametrize(
    "files",
    [{"power_now": "0"}, {"power_now": "garbage"}, {"current_now": "1"}, {"power_now": "99999999999"}],
)
def test_no_number_is_no_watt(tmp_path: Path, files: dict[str, str]) -> None:
    sensor = supply(tmp_path, "BAT0", type="Battery", status="Discharging", **files)
    assert isinstance(sensor.read(), Unavailable)
