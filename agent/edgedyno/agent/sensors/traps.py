"""Files that look like power sensors and are none: named, so that nobody has to wonder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.host.read import entries, read_text
from edgedyno.core.board import PowerSource

if TYPE_CHECKING:
    from edgedyno.agent.host.place import Place

# hwmon names the driver's power supply with underscores; power_supply itself uses hyphens.
_CONTRACT = "tcpm_source_psy"


def find_traps(place: Place) -> list[PowerSource]:
    """Return the false sensors of a board, each unavailable with its reason."""
    hwmon = place.path("sys/class/hwmon")
    chips = [read_text(hwmon / name / "name") or "" for name in entries(hwmon)]
    supplies = [name.replace("-", "_") for name in entries(place.path("sys/class/power_supply"))]
    names = dict.fromkeys(name for name in [*chips, *supplies] if name.startswith(_CONTRACT))
    return [
        PowerSource(
            source="usb_pd_contract",
            scope="DC input",
            available=False,
            reason=f"{name} is the negotiated USB-PD contract, the same idle and under load: no reading",
        )
        for name in names
    ]
