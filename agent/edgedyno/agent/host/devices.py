"""Clocks beside the CPUs' that devfreq shows: memory, GPU, NPU. Reads; judges nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.read import entries, read_float, read_text
from edgedyno.core.board import DeviceClock

if TYPE_CHECKING:
    from pathlib import Path

# These hold the clock; every other governor moves it by design.
STEADY_GOVERNORS = frozenset({"performance", "userspace"})
DEVFREQ_FOLDER = "sys/class/devfreq"
# dmc: Rockchip's memory controller; emc: Tegra's; mc, ddr, dram, memory-controller elsewhere.
_MEMORY = re.compile(
    r"(^|[.:-])(dmc|emc|mc|ddr\w*|dram|memory-controller|interconnect)($|[.:-]|\d)", re.IGNORECASE
)


def read_device_clocks(root: Path) -> list[DeviceClock]:
    """Return every devfreq clock, in the order of names."""
    return [
        read_device_clock(root, name) for name in entries(root / DEVFREQ_FOLDER) if not name.startswith(".")
    ]


def read_device_clock(root: Path, name: str) -> DeviceClock:
    """Read one devfreq clock now; devfreq counts in Hz."""
    folder = root / DEVFREQ_FOLDER / name
    return DeviceClock(
        name=name,
        governor=read_text(folder / "governor"),
        frequency_hz=read_float(folder / "cur_freq"),
        min_hz=read_float(folder / "min_freq"),
        max_hz=read_float(folder / "max_freq"),
    )


def is_memory(name: str) -> bool:
    """Tell whether a devfreq device is the memory's clock, by its name."""
    return _MEMORY.search(name) is not None
