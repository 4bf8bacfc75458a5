"""INA219 to INA238 by hwmon, on trees laid out as linux drivers/hwmon/ina2xx.c and ina238.c do; no dump at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.host.place import locate
from edgedyno.agent.host.profile import PowerRule, board_profiles
from edgedyno.agent.sensors.base import Available, Reading, Unavailable
from edgedyno.agent.sensors.ina2xx import Ina2xx
from edgedyno.agent.sensors.ina3221_hwmon import Ina3221Hwmon
from tests.agent.boards import write

if TYPE_CHECKING:
    from pathlib import Path


def chip(tree: Path, number: int, name: str, microwatts: str, **files: str) -> None:
    folder = tree / f"rootfs/sys/class/hwmon/hwmon{number}"
    for file, text in {"name": name, "power1_input": microwatts, **files}.items():
        write(folder / file, text + "\n")


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    return found.reason


def test_one_chip_is_what_it_is_wired_to(tmp_path: Path) -> None:
    chip(tmp_path, 3, "ina226", "5125000", shunt_resistor="10000", update_interval="35", label="VIN_5V")
    sensor = Ina2xx(locate(tmp_path))
    found, reading = sensor.probe(), sensor.read()
    assert isinstance(found, Available)
    assert isinstance(reading, Reading)
    # 2.5 µV on 10 mOhm are 0.25 mA; 25 of these by 1 V are a step of power.
    assert found.resolution == pytest.approx(25 * 0.25e-3)
    assert (found.scope, found.rails) == ("rail of VIN_5V", ["VIN_5V"])
    assert found.period_seconds == pytest.approx(0.069)
    assert reading.value == 5.125


@pytest.mark.parametrize(
    ("name", "shunt", "step"),
    [
        ("ina219", "100000", 20 * 10e-6 / 0.1),  # 2 mW
        ("ina231", "2000", 25 * 2.5e-6 / 0.002),  # 31 mW
        ("ina238", "20000", 0.2e-3),  # 0.2 mW at the driver's own 20 mOhm
        ("ina260", "", 0.01),
        ("ina226", "", 25 * 2.5e-6 / 0.01),  # the driver's 10 mOhm
    ],
)
def test_steps(tmp_path: Path, name: str, shunt: str, step: float) -> None:
    chip(tmp_path, 0, name, "1000000", **({"shunt_resistor": shunt} if shunt else {}))
    found = Ina2xx(locate(tmp_path)).probe()
    assert isinstance(found, Available)
    assert found.resolution == pytest.approx(step)


@pytest.mark.parametrize("label", ["VIN", None])
def test_thor_has_one_chip_at_its_input_and_three_rails_behind_it(tmp_path: Path, label: str | None) -> None:
    """The input is 61.2 W, whatever the driver calls it; the module's rails are 19.6 + 10.4 - 0.392 W."""
    (rule, module) = next(each for each in board_profiles() if each.id == "jetson-agx-thor").power
    chip(tmp_path, 3, "ina238", "61200000", **({"label": label} if label else {}))
    rails = {"VDD_GPU": (19600, -20), "VDD_CPU_SOC_MSS": (19600, 1000), "VIN_SYS_5V0": (5200, 2000)}
    for number, (name, (millivolts, milliamperes)) in enumerate(rails.items(), start=1):
        folder = tmp_path / "rootfs/sys/class/hwmon/hwmon4"
        write(folder / "name", "ina3221\n")
        write(folder / f"in{number}_label", name + "\n")
        write(folder / f"in{number}_input", f"{millivolts}\n")
        write(folder / f"curr{number}_input", f"{milliamperes}\n")
    sensor = Ina2xx(locate(tmp_path), rule)
    found, reading = sensor.probe(), sensor.read()
    assert isinstance(found, Available)
    assert isinstance(reading, Reading)
    assert (found.scope, found.rails, reading.value) == ("DC input", ["VIN"], 61.2)
    inside = Ina3221Hwmon(locate(tmp_path), module)
    found, reading = inside.probe(), inside.read()
    assert isinstance(found, Available)
    assert isinstance(reading, Reading)
    assert found.scope == "module"
    assert reading.value == pytest.approx(19.6 + 10.4 - 0.392)


def test_several_chips_need_a_profile_that_says_which_add_up(tmp_path: Path) -> None:
    chip(tmp_path, 0, "ina230", "2000000", label="VDD_ARM")
    chip(tmp_path, 1, "ina230", "1500000", label="VDD_G3D")
    chip(tmp_path, 2, "ina226", "6000000", label="DC_IN")
    assert "not known which of them add up" in reason(Ina2xx(locate(tmp_path)).probe())
    rule = PowerRule("ina2xx", "DC input", total=["DC_IN"], parts={"DC_IN": ["VDD_ARM", "VDD_G3D"]})
    reading = Ina2xx(locate(tmp_path), rule).read()
    assert isinstance(reading, Reading)
    assert reading.value == 6.0
    chip(tmp_path, 0, "ina230", "9000000", label="VDD_ARM")
    assert "more than the 6.00 W of DC_IN" in reason(Ina2xx(locate(tmp_path), rule).read())


@pytest.mark.parametrize("text", ["", "garbage", "-5", "4294967295000000"])
def test_no_number_is_no_watt(tmp_path: Path, text: str) -> None:
    chip(tmp_path, 0, "ina219", text)
    found = Ina2xx(locate(tmp_path)).read()
    assert isinstance(found, Unavailable)
