"""The system around the processor: memory, kernel, operating system, container or virtual machine."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from edgedyno.agent.host.read import entries, is_there, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.agent.host.cpuinfo import CpuInfo

_TOTAL = re.compile(r"MemTotal:\s+(\d+) kB")
_AVAILABLE = re.compile(r"MemAvailable:\s+(\d+) kB")


def read_memory_bytes(root: Path) -> int | None:
    """Return the memory that the kernel manages: /proc/meminfo, else the sum over the NUMA nodes."""
    match = _TOTAL.search(read_text(root / "proc/meminfo") or "")
    if match:
        return int(match[1]) * 1024
    folder = root / "sys/devices/system/node"
    nodes = [
        _TOTAL.search(read_text(folder / name / "meminfo") or "")
        for name in entries(folder)
        if re.fullmatch(r"node\d+", name)
    ]
    sizes = [int(node[1]) * 1024 for node in nodes if node]
    return sum(sizes) if sizes else None


def read_available_memory_bytes(root: Path) -> int | None:
    """Return how much memory can be had without swapping."""
    match = _AVAILABLE.search(read_text(root / "proc/meminfo") or "")
    return int(match[1]) * 1024 if match else None


def read_kernel(root: Path) -> str:
    """Return the kernel's release; `unknown` where a recording does not hold it."""
    release = read_text(root / "proc/sys/kernel/osrelease")
    if release:
        return release
    match = re.match(r"Linux version (\S+)", read_text(root / "proc/version") or "")
    return match[1] if match else "unknown"


def read_os(root: Path) -> str:
    """Return the operating system's pretty name and a Jetson's L4T release; `unknown` without either."""
    names = [name for name in (_os_release(root), _l4t(root)) if name]
    return ", ".join(names) or "unknown"


def _os_release(root: Path) -> str | None:
    for file in ("etc/os-release", "usr/lib/os-release"):
        match = re.search(r"^PRETTY_NAME=[\"']?(.*?)[\"']?$", read_text(root / file) or "", re.MULTILINE)
        if match:
            return match[1]
    return None


def _l4t(root: Path) -> str | None:
    match = re.search(
        r"# R(\d+) \(release\), REVISION: ([\d.]+)", read_text(root / "etc/nv_tegra_release") or ""
    )
    return f"L4T {match[1]}.{match[2]}" if match else None


def read_container(root: Path) -> str | None:
    """Return the kind of container that this is, or None."""
    if is_there(root / ".dockerenv"):
        return "docker"
    if is_there(root / "run/.containerenv"):
        return "podman"
    text = read_text(root / "proc/1/environ") or ""
    match = re.search(r"(?:^|\0)container=([^\0]+)", text)
    return match[1] if match else None


def read_virtual_machine(root: Path, info: CpuInfo) -> str | None:
    """Return the hypervisor's or product's name, `unknown hypervisor`, or None on bare metal."""
    product = read_text(root / "sys/class/dmi/id/product_name") or ""
    vendor = read_text(root / "sys/class/dmi/id/sys_vendor") or ""
    match = re.search(
        r"QEMU|KVM|VMware|VirtualBox|Virtual Machine|Hetzner|Amazon EC2|Google", f"{vendor} {product}"
    )
    if match:
        return f"{vendor} {product}".strip()
    if any("hypervisor" in words for words in info.words.values()):
        return "unknown hypervisor"
    return None


def free_disk_bytes(folder: Path) -> int | None:
    """Return how much an ordinary user may still write where `folder` is, or will be."""
    place = folder.absolute()
    while not is_there(place) and place != place.parent:
        place = place.parent
    try:
        status = os.statvfs(place)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
