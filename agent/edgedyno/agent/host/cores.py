"""Names of ARM cores by implementer and part number, and how much each does in one clock."""

from __future__ import annotations

from msgspec import Struct


class Core(Struct, frozen=True):
    """An ARM core: its name, and nominal single-precision operations per clock (0.0: not known)."""

    name: str
    fp32_per_clock: float = 0.0


# Names: part numbers in arch/arm64/include/asm/cputype.h of Linux, and util-linux sys-utils/lscpu-arm.c.
# Operations per clock: FP/ASIMD pipes x 128-bit lanes x 2, from Arm's software optimization guides; for
# tsv110 from LLVM's AArch64SchedTSV110.td. They order clusters where /sys gives no cpu_capacity, no more.
CORES: dict[tuple[int, int], Core] = {
    (0x41, 0xC07): Core("cortex-a7"),
    (0x41, 0xC09): Core("cortex-a9"),
    (0x41, 0xC0F): Core("cortex-a15"),
    (0x41, 0xD01): Core("cortex-a32"),
    (0x41, 0xD03): Core("cortex-a53", 8),
    (0x41, 0xD04): Core("cortex-a35"),
    (0x41, 0xD05): Core("cortex-a55", 8),
    (0x41, 0xD07): Core("cortex-a57", 8),
    (0x41, 0xD08): Core("cortex-a72", 8),
    (0x41, 0xD09): Core("cortex-a73", 8),
    (0x41, 0xD0A): Core("cortex-a75"),
    (0x41, 0xD0B): Core("cortex-a76", 16),
    (0x41, 0xD0C): Core("neoverse-n1", 16),
    (0x41, 0xD0D): Core("cortex-a77", 16),
    (0x41, 0xD40): Core("neoverse-v1", 32),
    (0x41, 0xD41): Core("cortex-a78", 16),
    (0x41, 0xD42): Core("cortex-a78ae", 16),
    (0x41, 0xD44): Core("cortex-x1", 32),
    (0x41, 0xD46): Core("cortex-a510"),
    (0x41, 0xD47): Core("cortex-a710", 16),
    (0x41, 0xD49): Core("neoverse-n2", 16),
    (0x41, 0xD4B): Core("cortex-a78c", 16),
    (0x41, 0xD4F): Core("neoverse-v2", 32),
    (0x41, 0xD80): Core("cortex-a520"),
    (0x41, 0xD81): Core("cortex-a720", 16),
    (0x48, 0xD01): Core("tsv110", 16),
    (0x4E, 0x004): Core("nvidia-carmel", 16),
}


def core_name(part: tuple[int, int] | None) -> str | None:
    """Return a core's name; None where its part number is not in the table."""
    core = CORES.get(part) if part else None
    return core.name if core else None
