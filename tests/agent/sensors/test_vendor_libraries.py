"""NVML, pyghmi and tc66-serial. Stand-ins for the libraries where the hardware is not here; tests only."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.host.place import Place
from edgedyno.agent.host.tools import Printed
from edgedyno.agent.sensors import extras
from edgedyno.agent.sensors.base import Available, Reading, Unavailable
from edgedyno.agent.sensors.dcmi import Answer, IpmiDcmi, parse_raw
from edgedyno.agent.sensors.nvml import Nvml
from edgedyno.agent.sensors.usb_meter import Tc66
from edgedyno.core.meters import MeterSettings
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def reason(found: object) -> str:
    assert isinstance(found, Unavailable)
    return found.reason


class NVMLError(Exception):
    """As the library names it."""


class Card:
    """A stand-in for pynvml with one card."""

    def __init__(self, *, counter: bool, cards: int = 1) -> None:
        self.joules, self.watts, self.counter, self.cards = 1000.0, 25.0, counter, cards
        module = ModuleType("pynvml")
        module.__dict__.update(
            NVMLError=NVMLError,
            nvmlInit=lambda: None,
            nvmlDeviceGetCount=lambda: self.cards,
            nvmlDeviceGetHandleByIndex=lambda index: index,
            nvmlDeviceGetTotalEnergyConsumption=self._energy,
            nvmlDeviceGetPowerUsage=lambda _card: int(self.watts * 1000),
        )
        self.module = module

    def _energy(self, _card: int) -> int:
        if not self.counter:
            raise NVMLError("Not Supported")
        return int(self.joules * 1000)


class NothingInstalled:
    """A stand-in for the tools of a board that has none of them, in the words of LiveTools."""

    def run(self, *command: str) -> Printed:
        return Printed(None, f"{command[0]} is not installed")

    def first_line(self, *command: str) -> Printed:
        return self.run(*command)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    (tmp_path / "dev/ipmi0").touch()
    return Place(tmp_path, NothingInstalled())


def test_nvml_counts_joules_where_it_can(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(counter=True)
    monkeypatch.setitem(sys.modules, "pynvml", card.module)
    sensor = Nvml(place)
    found = sensor.probe()
    assert isinstance(found, Available)
    assert (found.scope, sensor.spec.kind) == ("GPU", "counter")
    first = sensor.read()
    card.joules += 12.5
    second = sensor.read()
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert second.value - first.value == pytest.approx(12.5)
    card.joules = 3.0
    assert "went backwards" in reason(sensor.read())
    assert isinstance(sensor.read(), Reading)


def test_nvml_of_an_old_card_gives_watts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(counter=False)
    monkeypatch.setitem(sys.modules, "pynvml", card.module)
    sensor = Nvml(place)
    assert isinstance(sensor.probe(), Available)
    assert sensor.spec.kind == "sampled"
    reading = sensor.read()
    assert isinstance(reading, Reading)
    assert reading.value == 25.0
    card.watts = 0.0
    assert "cannot be" in reason(sensor.read())


def test_nvml_that_cannot_be_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install 'edgedyno[nvml]'" in reason(Nvml(place).probe())
    monkeypatch.setitem(sys.modules, "pynvml", Card(counter=True, cards=2).module)
    assert "2 NVIDIA cards" in reason(Nvml(place).probe())
    broken = Card(counter=True)

    def fail() -> None:
        raise NVMLError("Driver Not Loaded")

    broken.module.__dict__["nvmlInit"] = fail
    monkeypatch.setitem(sys.modules, "pynvml", broken.module)
    assert "Driver Not Loaded" in reason(Nvml(place).probe())


def raw(watts: int, *, active: bool = True, period_ms: int = 1000) -> bytes:
    """Build an answer as DCMI 1.5, table 6-16 has it."""
    now, low, high, mean = (value.to_bytes(2, "little") for value in (watts, 68, 504, 348))
    tail = (1707986161).to_bytes(4, "little") + period_ms.to_bytes(4, "little")
    return now + low + high + mean + tail + bytes([0x40 if active else 0])


def test_a_raw_power_reading() -> None:
    assert parse_raw(raw(276)) == Answer(276.0, "1707986161", 1.0)
    assert "deactivated" in reason(parse_raw(raw(235, active=False)))
    assert "cannot be" in reason(parse_raw(raw(0)))
    assert "has 3 bytes" in reason(parse_raw(b"abc"))


def test_pyghmi_where_there_is_no_ipmitool(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    answer: dict[str, Any] = {"code": 0, "data": [0xDC, *raw(276)]}
    module = ModuleType("pyghmi.ipmi.command")
    module.__dict__["Command"] = lambda: SimpleNamespace(raw_command=lambda **_: answer)
    for name in ("pyghmi", "pyghmi.ipmi"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "pyghmi.ipmi.command", module)
    sensor = IpmiDcmi(place)
    found, reading = sensor.probe(), sensor.read()
    assert isinstance(found, Available)
    assert isinstance(reading, Reading)
    assert (reading.value, found.period_seconds) == (276.0, 1.0)
    answer["code"] = 0xC1
    assert "code 0xc1" in reason(sensor.read())
    monkeypatch.setitem(sys.modules, "pyghmi.ipmi.command", None)
    assert "needs ipmitool or the Python package pyghmi: pip install 'edgedyno[ipmi]'" in reason(
        sensor.read()
    )


def test_every_extra_is_one_of_this_package_and_no_other_needs_it() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    for each in (extras.NVML, extras.IPMI, extras.TC66):
        assert f'\n{each.extra} = ["{each.package}>=' in project
        assert project.count(f'"{each.package}') == 1


class Tc66Client:
    """A stand-in for the library's client."""

    power = 5.1234
    valid = True
    pulled = False

    def __init__(self, port: str, *, timeout: float) -> None:
        assert timeout > 0
        self.port = port

    def connect(self) -> None:
        if self.port == "/dev/none":
            raise OSError("could not open port /dev/none")

    def disconnect(self) -> None:
        """Do nothing."""

    def get_reading(self) -> SimpleNamespace:
        if self.pulled:
            raise OSError("device reports readiness to read but returned no data")
        return SimpleNamespace(
            power=self.power, voltage=5.1, current=1.0046, group0_mwh=12, pac1_checksum_valid=self.valid
        )


def test_a_usb_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tc66_serial")
    module.__dict__["Tc66Client"] = Tc66Client
    monkeypatch.setitem(sys.modules, "tc66_serial", module)
    sensor = Tc66(MeterSettings("tc66", port="/dev/ttyACM0"))
    found, reading = sensor.probe(), sensor.read()
    assert isinstance(found, Available)
    assert isinstance(reading, Reading)
    assert (found.scope, reading.value) == ("DC input", 5.1234)
    monkeypatch.setattr(Tc66Client, "valid", False)
    assert "checksum" in reason(sensor.read())
    monkeypatch.setattr(Tc66Client, "pulled", True)
    assert "no data" in reason(sensor.read())
    assert "could not open" in reason(Tc66(MeterSettings("tc66", port="/dev/none")).probe())
    monkeypatch.setitem(sys.modules, "tc66_serial", None)
    assert "pip install 'edgedyno[tc66]'" in reason(Tc66(MeterSettings("tc66", port="/dev/x")).probe())
