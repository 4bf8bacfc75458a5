"""Every overlay of a recorded board trips its trap: what `caps` says of it. The table names all that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.agent.capabilities import read_capabilities
from tests.agent.boards import BOARDS, copy_board

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.board import PowerSource

# Overlay: source, and the reason for which it is refused; None: it is usable, and its rails.
EXPECTED: dict[tuple[str, str], tuple[str, str | None, list[str]]] = {
    # 262 W as read; tests/agent/sensors/test_sampled.py has its period and its battery flag.
    ("kunpeng920-2s", "acpi-power-meter"): ("acpi_power_meter", None, []),
    ("kunpeng920-2s", "acpi-power-meter-bogus"): (
        "acpi_power_meter",
        "power1_average says 4294967 W, which cannot be (0xffffffff mW is a known fault)",
        [],
    ),
    # Nodes 0 and 2 have no memory: no matter for power; test_facts.py and test_topology.py have what is said of it.
    ("kunpeng920-2s", "sparse-memory"): ("ipmi_dcmi", None, []),
    # A counter below its last value: test_rapl.py counts over the wrap; a fresh look finds nothing odd.
    ("x86-rapl", "after-wrap"): ("rapl", None, ["package-0"]),
    # The twin counts the same joules: one package, not two.
    ("x86-rapl", "mmio-duplicate"): ("rapl", None, ["package-0"]),
    # Zone a is package-10, which gives no count: without it a part of the machine would be left out.
    ("x86-rapl", "ten-packages"): ("rapl", "energy_uj of package-10: absent", []),
}
WATTS = {("kunpeng920-2s", "acpi-power-meter"): 262.0, ("kunpeng920-2s", "sparse-memory"): 276.0}


def test_every_overlay_is_expected() -> None:
    assert {(path.parent.parent.name, path.name) for path in BOARDS.glob("*/variants/*")} == set(EXPECTED)


@pytest.fixture(params=sorted(EXPECTED), ids=str)
def overlay(request: pytest.FixtureRequest) -> tuple[str, str]:
    found: tuple[str, str] = request.param
    return found


def test_an_overlay_trips_its_trap(overlay: tuple[str, str], tmp_path: Path) -> None:
    name, variant = overlay
    wanted, reason, rails = EXPECTED[overlay]
    found = read_capabilities(root=copy_board(name, tmp_path, variant=variant))
    (source,) = [each for each in found.power if each.source == wanted]
    assert (source.available, source.reason, source.rails) == (reason is None, reason, rails)
    assert source.watts == WATTS.get(overlay)
    assert _never_zero(found.power)


def _never_zero(sources: list[PowerSource]) -> bool:
    return all(source.watts is None or source.watts > 0 for source in sources)
