"""The board's power mode: nvpmodel on a Jetson, the platform profile elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.read import is_there, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.host.place import Place

_PRINTED = re.compile(r"NV Power Mode:\s*(\S+)")
_STATUS = re.compile(r"pmode:(\d+)")
_MODEL = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")


def read_power_mode(root: Path) -> str | None:
    """Return the power mode's name, or `nvpmodel N` where its name is not to be found.

    The meaning of an nvpmodel id differs between boards and releases: 0 is 15W on an Orin Nano Super and
    MAXN elsewhere. So the name comes from the board's own table, never from the number.
    """
    match = _STATUS.search(read_text(root / "var/lib/nvpmodel/status") or "")
    if match is None:
        return read_text(root / "sys/firmware/acpi/platform_profile")
    number = int(match[1])
    for model in _MODEL.finditer(read_text(root / "etc/nvpmodel.conf") or ""):
        if int(model[1]) == number:
            return model[2]
    return f"nvpmodel {number}"


def ask_power_mode(place: Place) -> str | None:
    """Ask nvpmodel itself: older releases keep no status file that others may read. Starts a program."""
    if not is_there(place.path("etc/nv_tegra_release")):
        return None
    match = _PRINTED.search(place.tools.run("nvpmodel", "-q").text or "")
    return match[1] if match else None
