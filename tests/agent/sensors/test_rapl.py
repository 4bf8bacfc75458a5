"""RAPL: wraps, twins, branches, permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import edgedyno.agent.host.read as read_module
from edgedyno.agent.host.place import locate
from edgedyno.agent.host.read import Content
from edgedyno.agent.sensors import rapl
from edgedyno.agent.sensors.base import Available, Reading, Unavailable
from edgedyno.agent.sensors.rapl import Rapl
from tests.agent.boards import BOARDS, board, copy_board, write

if TYPE_CHECKING:
    from pathlib import Path

POWERCAP = "rootfs/sys/class/powercap"


def _read(sensor: Rapl) -> Reading:
    reading = sensor.read()
    assert isinstance(reading, Reading)
    return reading


def test_only_the_package_counts() -> None:
    found = Rapl(locate(board("x86-rapl"))).probe()
    assert isinstance(found, Available)
    assert (found.scope, found.rails) == ("package", ["package-0"])


def test_the_first_reading_is_zero_and_then_it_grows(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    sensor = Rapl(locate(tree))
    first = _read(sensor)
    write(tree / POWERCAP / "intel-rapl:0/energy_uj", str(240422366267 + 12_500_000))
    second = _read(sensor)
    assert [first.value, second.value] == pytest.approx([0.0, 12.5])
    assert second.at_seconds > first.at_seconds
    assert first.mark != second.mark


def test_a_counter_that_wraps(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    sensor = Rapl(locate(tree))
    _read(sensor)
    overlay = BOARDS / "x86-rapl/variants/after-wrap/rootfs/sys/class/powercap/intel-rapl:0/energy_uj"
    write(tree / POWERCAP / "intel-rapl:0/energy_uj", overlay.read_text())
    # 262143328850 - 240422366267 + 1500000000 µJ
    assert _read(sensor).value == pytest.approx(23220.962583)


def test_a_wrap_without_its_range_is_no_number(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path, variant=None)
    (tree / POWERCAP / "intel-rapl:0/max_energy_range_uj").unlink()
    sensor = Rapl(locate(tree))
    _read(sensor)
    write(tree / POWERCAP / "intel-rapl:0/energy_uj", "5")
    assert isinstance(sensor.read(), Unavailable)


def test_the_mmio_twin_is_not_added(tmp_path: Path) -> None:
    sensor = Rapl(locate(copy_board("x86-rapl", tmp_path, variant="mmio-duplicate")))
    found = sensor.probe()
    assert isinstance(found, Available)
    assert found.rails == ["package-0"]


def test_zone_numbers_are_hexadecimal_and_a_package_that_is_silent_is_named(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path, variant="ten-packages")
    found = Rapl(locate(tree)).probe()
    assert isinstance(found, Unavailable)
    assert "package-10" in found.reason
    write(tree / POWERCAP / "intel-rapl:a/energy_uj", "1000000")
    again = Rapl(locate(tree)).probe()
    assert isinstance(again, Available)
    assert again.rails == ["package-0", "package-10"]


def test_dram_is_added_and_changes_the_scope(tmp_path: Path) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / POWERCAP / "intel-rapl:0:1/name", "dram")
    write(tree / POWERCAP / "intel-rapl:0:1/energy_uj", "7000000")
    write(tree / POWERCAP / "intel-rapl:1/name", "psys")
    write(tree / POWERCAP / "intel-rapl:1/energy_uj", "9000000")
    found = Rapl(locate(tree)).probe()
    assert isinstance(found, Available)
    assert (found.scope, found.rails) == ("package and DRAM", ["package-0", "0:1 dram"])


def test_permission_denied_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> Content:
        return (
            Content(None, "permission denied")
            if str(path).endswith("energy_uj")
            else read_module.read(str(path))
        )

    monkeypatch.setattr(rapl, "read", refuse)
    found = Rapl(locate(board("x86-rapl"))).probe()
    assert isinstance(found, Unavailable)
    assert "root only" in found.reason


@pytest.mark.parametrize("text", ["", "garbage", "-5"])
def test_garbage_is_no_number(tmp_path: Path, text: str) -> None:
    tree = copy_board("x86-rapl", tmp_path)
    write(tree / POWERCAP / "intel-rapl:0/energy_uj", text)
    assert isinstance(Rapl(locate(tree)).read(), Unavailable)


def test_no_powercap() -> None:
    assert isinstance(Rapl(locate(board("vm-bare"))).probe(), Unavailable)
