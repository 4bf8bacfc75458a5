"""The sampled sensors: what each reads, and every trap gives its refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.place import locate
from edgedyno.agent.host.profile import PowerRule
from edgedyno.agent.sensors.acpi import AcpiPowerMeter
from edgedyno.agent.sensors.base import Available, Reading, Unavailable
from edgedyno.agent.sensors.dcmi import IpmiDcmi, parse_watts
from edgedyno.agent.sensors.ina3221_hwmon import Ina3221Hwmon
from edgedyno.agent.sensors.ina3221_iio import Ina3221Iio
from edgedyno.agent.sensors.pmic import Pmic, parse_rails
from edgedyno.agent.sensors.rails import Rail, add_up, total_rails
from edgedyno.agent.sensors.registry import choose_sensor
from tests.agent.boards import board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path

ORIN = PowerRule(
    source="ina3221_hwmon",
    scope="module",
    total=["VDD_IN"],
    parts={"VDD_IN": ["VDD_CPU_GPU_CV", "VDD_SOC"]},
)
CHIP = "rootfs/sys/class/hwmon/hwmon1"
METER = "rootfs/sys/class/hwmon/hwmon1/device"


def _reason(result: object) -> str:
    assert isinstance(result, Unavailable)
    return result.reason


def test_orin_nano_step_and_period() -> None:
    found = Ina3221Hwmon(locate(board("jetson-orin-nano")), ORIN).probe()
    assert isinstance(found, Available)
    # One step of 40 µV on 5 mOhm is 8 mA, at 4.992 V.
    assert found.resolution == pytest.approx(0.008 * 4.992)
    assert found.period_seconds == pytest.approx(3.379)


def test_a_rail_that_stops_answering_in_mid_run(tmp_path: Path) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    sensor = Ina3221Hwmon(locate(tree), ORIN)
    assert isinstance(sensor.read(), Reading)
    (tree / CHIP / "curr1_input").unlink()
    assert "VDD_IN is missing" in _reason(sensor.read())


def test_parts_above_their_total_are_refused(tmp_path: Path) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    write(tree / CHIP / "curr2_input", "2000")
    assert "more than the 4.83 W of VDD_IN" in _reason(Ina3221Hwmon(locate(tree), ORIN).read())


def test_a_channel_that_is_switched_off_is_left_out(tmp_path: Path) -> None:
    tree = copy_board("jetson-orin-nano", tmp_path)
    write(tree / CHIP / "in3_enable", "0")
    found = Ina3221Hwmon(locate(tree), ORIN).probe()
    assert isinstance(found, Available)
    assert found.rails == ["VDD_IN", "VDD_CPU_GPU_CV"]


def test_without_a_profile_an_input_rail_is_known_and_others_are_not_guessed() -> None:
    found = Ina3221Hwmon(locate(board("jetson-orin-nano"))).probe()
    assert isinstance(found, Available)
    assert "not known which of them add up" in _reason(Ina3221Hwmon(locate(board("jetson-agx-orin"))).probe())


def test_nano_labels_exchanged_by_a_vendor_image(tmp_path: Path) -> None:
    tree = copy_board("jetson-nano", tmp_path)
    device = tree / "rootfs/sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write(device / "rail_name_0", "POM_5V_GPU")
    write(device / "rail_name_1", "POM_5V_IN")
    place = locate(tree)
    rule = read_board(place).profile.power_rule("ina3221_iio")
    assert "labels or the shunts are wrong" in _reason(Ina3221Iio(place, rule).probe())


def test_a_negative_total_cannot_be() -> None:
    assert "cannot be" in _reason(add_up({"VDD_IN": Rail(-0.4, 0.04)}, None))
    assert "none of its rails" in _reason(total_rails({}, None))


def test_small_negative_parts_are_noise() -> None:
    rails = {"VDD_IN": Rail(5.0, 0.04), "VDD_CPU_GPU_CV": Rail(-0.392, 0.04), "VDD_SOC": Rail(1.0, 0.04)}
    assert add_up(rails, ORIN) == Rail(5.0, 0.04)


def test_pmic_text_that_was_cut_off() -> None:
    text = (board("rpi5") / "bin-output/vcgencmd_pmic_read_adc.truncated.txt").read_text()
    assert "cut off" in _reason(parse_rails(text))


def test_pmic_rails_are_paired_by_name_whatever_their_names_are() -> None:
    text = " 0V8_SYS_A current(6)=0.5A\n NEW_RAIL_A current(3)=2.0A\n NEW_RAIL_V volt(9)=1.5V\n"
    text += " EXT5V_V volt(24)=5.0V\n 0V8_SYS_V volt(1)=0.8V\n"
    rails = parse_rails(text)
    assert isinstance(rails, dict)
    assert rails == pytest.approx({"0V8_SYS": 0.4, "NEW_RAIL": 3.0})


def test_pmic_is_asked_on_a_raspberry_pi_only() -> None:
    assert "not a Raspberry Pi" in _reason(Pmic(locate(board("rock-5b"))).probe())
    assert "Command not registered" in _reason(Pmic(locate(board("rpi4b"))).probe())


def test_acpi_meter(tmp_path: Path) -> None:
    sensor = AcpiPowerMeter(locate(copy_board("kunpeng920-2s", tmp_path, variant="acpi-power-meter")))
    found = sensor.probe()
    assert isinstance(found, Available)
    assert (found.scope, found.period_seconds) == ("machine", 1.0)
    reading = sensor.read()
    assert isinstance(reading, Reading)
    assert reading.value == 262.0


def test_acpi_meter_with_0xffffffff_milliwatts(tmp_path: Path) -> None:
    tree = copy_board("kunpeng920-2s", tmp_path, variant="acpi-power-meter-bogus")
    assert "cannot be" in _reason(AcpiPowerMeter(locate(tree)).probe())
    (found,) = [each for each in read_capabilities(root=tree).power if each.source == "acpi_power_meter"]
    assert (found.available, found.watts) == (False, None)


@pytest.mark.parametrize("text", ["", "garbage", "0", "-1"])
def test_acpi_meter_without_a_number(tmp_path: Path, text: str) -> None:
    tree = copy_board("kunpeng920-2s", tmp_path, variant="acpi-power-meter")
    write(tree / METER / "power1_average", text)
    assert isinstance(AcpiPowerMeter(locate(tree)).read(), Unavailable)


def test_acpi_meter_of_a_battery(tmp_path: Path) -> None:
    tree = copy_board("kunpeng920-2s", tmp_path, variant="acpi-power-meter")
    write(tree / METER / "power1_is_battery", "1")
    assert "battery" in _reason(AcpiPowerMeter(locate(tree)).probe())


def test_dcmi_that_is_deactivated(tmp_path: Path) -> None:
    tree = copy_board("kunpeng920-2s", tmp_path)
    output = tree / "bin-output"
    deactivated = (output / "ipmitool_dcmi_power_reading.deactivated.txt").read_text()
    (output / "ipmitool_dcmi_power_reading.txt").write_text(deactivated)
    assert "deactivated" in _reason(IpmiDcmi(locate(tree)).probe())


@pytest.mark.parametrize(
    "text", ["", "Puissance instantanée : 276 Watts", "Instantaneous power reading: 0 Watts"]
)
def test_dcmi_text_that_cannot_be_read(text: str) -> None:
    assert isinstance(parse_watts(text), Unavailable)


def test_dcmi_stamp_tells_updates_apart(tmp_path: Path) -> None:
    tree = copy_board("kunpeng920-2s", tmp_path)
    sensor = IpmiDcmi(locate(tree))
    first, frozen = sensor.read(), sensor.read()
    file = tree / "bin-output/ipmitool_dcmi_power_reading.txt"
    file.write_text(file.read_text().replace("08:36:01", "08:36:02"))
    later = sensor.read()
    assert isinstance(first, Reading)
    assert isinstance(frozen, Reading)
    assert isinstance(later, Reading)
    assert first.mark == frozen.mark != later.mark
    assert first.value == later.value == 276.0


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("jetson-agx-orin", "ina3221_hwmon"),
        ("jetson-nano", "ina3221_iio"),
        ("rpi5", "pmic"),
        ("x86-rapl", "rapl"),
        ("kunpeng920-2s", "ipmi_dcmi"),
    ],
)
def test_the_sensor_that_is_chosen(name: str, source: str) -> None:
    place = locate(board(name))
    chosen = choose_sensor(place, read_board(place).profile)
    assert not isinstance(chosen, Unavailable)
    assert chosen[0].spec.source == source


@pytest.mark.parametrize("name", ["rpi4b", "rock-5b", "vm-bare", "vm-arm64-altra"])
def test_no_sensor_says_so(name: str) -> None:
    place = locate(board(name))
    assert "no power sensor" in _reason(choose_sensor(place, read_board(place).profile))
