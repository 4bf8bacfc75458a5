"""What a board says it is: device tree, DMI, processor. No judgement about which profile that means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.read import is_folder, read, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.host.cpuinfo import CpuInfo
    from edgedyno.agent.host.topology import Topology


class Identity(Struct, frozen=True):
    """The words by which a board can be recognised."""

    compatible: list[str]
    model: str | None
    cpu_parts: list[str]
    cpu_vendor: str | None
    cpu_model: str | None
    cpu_count: int
    """CPUs that are present, online or not."""
    dmi_vendor: str | None
    dmi_product: str | None

    def name(self) -> str | None:
        """Return the best name for people that the board itself gives."""
        product = " ".join(word for word in (self.dmi_vendor, self.dmi_product) if word)
        return self.model or product or self.cpu_model


def read_identity(root: Path, info: CpuInfo, topology: Topology) -> Identity:
    """Read what identifies a board; what is absent is None or empty."""
    tree = root / "proc/device-tree"
    if not is_folder(tree):
        tree = root / "sys/firmware/devicetree/base"
    compatible = (read(tree / "compatible").text or "").split("\0")
    dmi = root / "sys/class/dmi/id"
    return Identity(
        compatible=[entry for entry in compatible if entry],
        model=read_text(tree / "model") or info.board_model,
        cpu_parts=sorted({f"{implementer:#04x}/{part:#05x}" for implementer, part in info.parts.values()}),
        cpu_vendor=info.vendor,
        cpu_model=info.model_name,
        cpu_count=len(topology.online) + len(topology.offline),
        dmi_vendor=read_text(dmi / "sys_vendor"),
        dmi_product=read_text(dmi / "product_name"),
    )
