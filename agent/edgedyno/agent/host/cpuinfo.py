"""Parse /proc/cpuinfo: one entry for each CPU, with what names its core and lists its instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.host.problems import note_content
from edgedyno.agent.host.read import entries, read_int, read_text

if TYPE_CHECKING:
    from pathlib import Path

_CPU = "sys/devices/system/cpu"


class CpuInfo(Struct, frozen=True):
    """What /proc/cpuinfo says about the machine."""

    words: dict[int, frozenset[str]]
    """Kernel feature words of each CPU."""
    parts: dict[int, tuple[int, int]]
    """Implementer and part number of each ARM CPU."""
    revisions: dict[int, str]
    """Variant and revision of each ARM CPU: `r4p1`."""
    vendor: str | None
    model_name: str | None
    """The processor's marketing name (x86)."""
    board_model: str | None
    """The `Model` line of Raspberry Pi kernels."""
    architecture: str | None
    """aarch64, armv7l, x86_64, or None where the file does not tell."""


def read_cpuinfo(root: Path) -> CpuInfo:
    """Read /proc/cpuinfo and each CPU's MIDR register from /sys; what is not there is left out."""
    text = read_text(root / "proc/cpuinfo") or ""
    blocks = _blocks(text)
    if text and not blocks:
        note_content(root / "proc/cpuinfo", text, "an entry for each processor")
    first = next(iter(blocks.values()), {})
    parts = {cpu: part for cpu, block in blocks.items() if (part := _part(block)) is not None}
    revisions = {cpu: revision for cpu, block in blocks.items() if (revision := _revision(block)) is not None}
    for cpu, midr in _midrs(root).items():
        parts[cpu] = (midr >> 24 & 0xFF, midr >> 4 & 0xFFF)
        revisions[cpu] = f"r{midr >> 20 & 0xF}p{midr & 0xF}"
    return CpuInfo(
        words={cpu: _words(block) for cpu, block in blocks.items()},
        parts=parts,
        revisions=revisions,
        vendor=first.get("vendor_id"),
        model_name=first.get("model name") if "vendor_id" in first else None,
        board_model=_board_model(text),
        architecture=_architecture(first),
    )


def _blocks(text: str) -> dict[int, dict[str, str]]:
    blocks: dict[int, dict[str, str]] = {}
    block: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        key, value = key.strip(), value.strip()
        if key == "processor" and value.isdecimal():
            block = blocks.setdefault(int(value), {})
        elif colon:
            block[key] = value
        elif not key:
            block = {}
    return blocks


def _words(block: dict[str, str]) -> frozenset[str]:
    return frozenset((block.get("Features") or block.get("flags") or "").split())


def _part(block: dict[str, str]) -> tuple[int, int] | None:
    try:
        return int(block["CPU implementer"], 16), int(block["CPU part"], 16)
    except (KeyError, ValueError):
        return None


def _revision(block: dict[str, str]) -> str | None:
    try:
        return f"r{int(block['CPU variant'], 16)}p{int(block['CPU revision'])}"
    except (KeyError, ValueError):
        return None


def _midrs(root: Path) -> dict[int, int]:
    """MIDR_EL1: implementer in bits 31..24, variant 23..20, part 15..4, revision 3..0 (Arm ARM)."""
    registers = {}
    for name in entries(root / _CPU):
        if name.startswith("cpu") and name[3:].isdecimal():
            midr = read_int(root / _CPU / name / "regs/identification/midr_el1")
            if midr:
                registers[int(name[3:])] = midr
    return registers


def _board_model(text: str) -> str | None:
    for line in reversed(text.splitlines()[-8:]):
        key, _, value = line.partition(":")
        if key.strip() == "Model":
            return value.strip()
    return None


def _architecture(block: dict[str, str]) -> str | None:
    if "flags" in block:
        return "x86_64" if "lm" in block["flags"].split() else "i686"
    if "CPU architecture" in block:
        return "aarch64" if "asimd" in block.get("Features", "").split() else "armv7l"
    return None
