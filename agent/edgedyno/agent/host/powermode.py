"""The board's power mode: nvpmodel on a Jetson, the platform profile elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.read import read_text

if TYPE_CHECKING:
    from pathlib import Path

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
