"""What boards do to a reader: each is named, none is fatal, none counts as 0 W."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.host import read as reading
from edgedyno.agent.host import tools as host_tools
from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.place import Place, locate
from edgedyno.agent.host.tools import LiveTools
from edgedyno.agent.measure.energy import Unmetered, Window
from edgedyno.agent.measure.meter import Meter
from edgedyno.agent.sensors.acpi import AcpiPowerMeter
from edgedyno.agent.sensors.base import Available, Reading, SensorSpec, Unavailable
from edgedyno.agent.sensors.dcmi import IpmiDcmi, parse_watts
from edgedyno.agent.sensors.ina2xx import Ina2xx
from edgedyno.agent.sensors.ina3221_hwmon import Ina3221Hwmon
from edgedyno.agent.sensors.pmic import parse_rails
from edgedyno.agent.sensors.rapl import Rapl, find_zones
from edgedyno.agent.sensors.registry import Choice, choose_sensor, disagreement
from tests.agent.boards import board, copy_board, write

if TYPE_CHECKING:
    from edgedyno.agent.sensors.base import Sensor

FILES: dict[str, tuple[str, Any, str]] = {
    "rapl": ("x86-rapl", Rapl, "sys/class/powercap/intel-rapl:0/energy_uj"),
    "ina3221_hwmon": ("jetson-orin-nano", Ina3221Hwmon, "sys/class/hwmon/hwmon1/curr1_input"),
    "acpi_power_meter": ("kunpeng920-2s", AcpiPowerMeter, "sys/class/hwmon/hwmon1/device/power1_average"),
    "ina2xx": ("vm-bare", Ina2xx, "sys/class/hwmon/hwmon0/power1_input"),
}


def reason(found: object) -> str:
    assert isinstance(found, (Unavailable, Unmetered))
    assert found.reason
    return found.reason


def tree_with(source: str, folder: Path) -> Path:
    name = FILES[source][0]
    tree = copy_board(name, folder, variant="acpi-power-meter" if source == "acpi_power_meter" else None)
    if source == "ina2xx":
        write(tree / "rootfs/sys/class/hwmon/hwmon0/name", "ina226\n")
        write(tree / "rootfs/sys/class/hwmon/hwmon0/power1_input", "5000000\n")
    return tree


def opened(source: str, tree: Path) -> Sensor:
    place = locate(tree)
    sensor: Sensor = FILES[source][1](place, read_board(place).profile.power_rule(source))
    assert isinstance(sensor.read(), Reading)
    return sensor


@pytest.mark.parametrize("source", sorted(FILES))
@pytest.mark.parametrize("text", ["", "garbage", "-12", "nan", "\xff\xfe", "N/A"])
def test_a_file_that_holds_no_number(source: str, text: str, tmp_path: Path) -> None:
    tree = tree_with(source, tmp_path)
    sensor = opened(source, tree)
    (tree / "rootfs" / FILES[source][2]).write_text(text)
    reason(sensor.read())


@pytest.mark.parametrize("source", sorted(FILES))
def test_a_file_that_vanishes_and_comes_back(source: str, tmp_path: Path) -> None:
    tree = tree_with(source, tmp_path)
    sensor = opened(source, tree)
    file = tree / "rootfs" / FILES[source][2]
    text = file.read_text()
    file.unlink()
    reason(sensor.read())
    file.write_text(text)
    assert isinstance(sensor.read(), Reading)


@pytest.mark.parametrize("source", sorted(FILES))
@pytest.mark.parametrize(
    "code", [errno.EAGAIN, errno.EPERM, errno.EACCES, errno.ENODATA, errno.EIO, errno.ENXIO]
)
def test_a_read_that_fails(source: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tree_with(source, tmp_path)
    sensor = opened(source, tree)
    target = Path(FILES[source][2]).name

    def failing(descriptor: int, size: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == target:
            raise OSError(code, os.strerror(code))
        return os.read(descriptor, size)

    class FailingOs:
        """The os module, but for reads."""

        def __getattr__(self, name: str) -> object:
            return failing if name == "read" else getattr(os, name)

    monkeypatch.setattr(reading, "os", FailingOs())
    reason(sensor.read())


def test_0xffffffff_milliwatts_is_no_power(tmp_path: Path) -> None:
    tree = tree_with("ina2xx", tmp_path)
    sensor = opened("ina2xx", tree)
    (tree / "rootfs" / FILES["ina2xx"][2]).write_text("4294967295000")
    assert "cannot be" in reason(sensor.read())


def tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def bmc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> IpmiDcmi:
    """Return the sensor of a machine whose ipmitool is a script."""
    tool(tmp_path / "bin", "ipmitool", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    write(tmp_path / "dev/ipmi0", "")
    return IpmiDcmi(Place(tmp_path, LiveTools()))


def test_a_tool_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_tools, "TIMEOUT_SECONDS", 0.3)
    began = time.monotonic()
    assert "did not answer within 0.3 s" in reason(bmc(tmp_path, monkeypatch, "exec sleep 30").probe())
    assert time.monotonic() - began < 10


def test_a_tool_that_fails_or_prints_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = bmc(tmp_path, monkeypatch, "echo 'Could not open device' >&2; exit 1")
    assert "Could not open device" in reason(failing.probe())
    assert "no instantaneous power reading: nothing" in reason(bmc(tmp_path, monkeypatch, "exit 0").probe())


def test_a_tool_is_asked_in_the_c_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    sensor = bmc(
        tmp_path, monkeypatch, 'echo "Instantaneous power reading: 2$([ "$LC_ALL" = C ] && echo 7) Watts"'
    )
    found = sensor.read()
    assert isinstance(found, Reading)
    assert found.value == 27.0


@pytest.mark.parametrize(
    "text",
    [
        "  Momentane Leistungsmessung:                    276 Watt",
        "    Instantaneous power reading:                   276,5 Watts",
        "DCMI request failed because: Invalid command (c1)",
        "Instantaneous power reading: 4294967 Watts",
    ],
)
def test_another_locale_or_an_older_format(text: str) -> None:
    reason(parse_watts(text))


def test_a_pmic_with_decimal_commas_or_another_format() -> None:
    reason(parse_rails(" VDD_CORE_A current(7)=1,25A\n VDD_CORE_V volt(15)=0,87V\n"))
    reason(parse_rails("VDD_CORE: 1.25 A 0.87 V"))


def test_rapl_that_only_the_mmio_twin_has(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path, variant="mmio-duplicate")
    base = tree / "rootfs/sys/class/powercap"
    both = find_zones(base)
    assert not any("mmio" in Path(zone.folder).name for zone in both)
    for folder in base.glob("intel-rapl:*"):
        for file in sorted(folder.rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        folder.rmdir()
    (zone,) = find_zones(base)
    assert Path(zone.folder).name == "intel-rapl-mmio:0"


def test_rapl_of_an_amd_processor(tmp_path: Path) -> None:
    # Linux names an AMD tree intel-rapl too (drivers/powercap/intel_rapl_msr.c); a package and its cores.
    for zone, name, joules in (("intel-rapl:0", "package-0", 900), ("intel-rapl:0:0", "core", 500)):
        folder = tmp_path / "rootfs/sys/class/powercap" / zone
        write(folder / "name", name)
        write(folder / "energy_uj", str(joules * 1_000_000))
        write(folder / "max_energy_range_uj", "65532610987")
    (zone_found,) = find_zones(tmp_path / "rootfs/sys/class/powercap")
    assert zone_found.name == "package-0"


class Fixed:
    """A scripted sensor that always says the same."""

    def __init__(self, source: str, watts: float, *, frozen: bool = False) -> None:
        self.spec = SensorSpec(source, "machine", "sampled", 0.2, max_rate_hertz=200.0)
        self._watts = watts
        self._frozen = frozen
        self._count = 0

    def probe(self) -> Available:
        return Available("machine", [], None, 1.0)

    def read(self) -> Reading:
        self._count += not self._frozen
        return Reading(time.monotonic(), self._watts, self._count)


def test_two_sensors_of_one_scope_that_disagree() -> None:
    one, two = (Choice(sensor, sensor.probe()) for sensor in (Fixed("acpi", 262.0), Fixed("dcmi", 176.0)))
    doubt = disagreement([one, two])
    assert doubt == "acpi says 262 W and dcmi 176 W of the same machine: one of them is wrong"
    assert disagreement([one, Choice(Fixed("dcmi", 250.0), one.found)]) is None
    assert disagreement([one, Choice(two.sensor, Available("package", [], None, 1.0))]) is None


def test_the_recorded_server_has_two_that_agree(tmp_path: Path) -> None:
    place = locate(copy_board("kunpeng920-2s", tmp_path, variant="acpi-power-meter"))
    chosen = choose_sensor(place, read_board(place).profile)
    assert not isinstance(chosen, Unavailable)
    # 262 W by ACPI and 276 W by the BMC: 14 W apart, within a tenth of 276 W and two steps of 1 W.
    assert (chosen.sensor.spec.source, chosen.doubt) == ("acpi_power_meter", None)


def test_a_sensor_that_freezes_in_mid_run() -> None:
    sensor = Fixed("meter", 20.0, frozen=True)
    meter = Meter(sensor, sensor.probe())
    frozen = [sensor.read()._replace(at_seconds=index * 0.1) for index in range(201)]
    idle = [Reading(-10 + index * 0.1, 5.0, index) for index in range(50)]
    found = meter.summarise(frozen, Window(0.0, 20.0, 5), idle_before=idle, idle_after=idle)
    assert "it may be frozen: always the same value and stamp" in reason(found)


@pytest.mark.parametrize("name", ["rpi4b", "rpi-zero2w-32bit", "orangepi5", "vm-bare", "vm-arm64-altra"])
def test_boards_without_a_sensor_say_what_to_add(name: str) -> None:
    place = locate(board(name))
    why = reason(choose_sensor(place, read_board(place).profile))
    assert why.startswith("no power sensor: ")
    assert "add a plug with `power:" in why
