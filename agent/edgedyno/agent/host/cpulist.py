"""CPU lists as the kernel writes them (`0-3,8`, `0 1 2 3`) and as users do. Pure text, no files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_CPU = 8191  # CONFIG_NR_CPUS goes up to 8192 on the architectures that we know.
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5})(?::(\d{1,5})/(\d{1,5}))?)?")


def parse_cpu_list(text: str | None) -> list[int] | None:
    """Return the CPUs in ascending order without doubles; None where `text` is not a CPU list.

    Knows the kernel's forms: ranges, commas, blanks (related_cpus) and strides `0-31:2/8`.
    """
    cpus: set[int] = set()
    words = re.split(r"\s*,\s*|\s+", (text or "").split("\0")[0].strip())
    for word in words:
        match = _RANGE.fullmatch(word)
        if match is None:
            return None
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last > MAX_CPU:
            return None
        used, group = (int(match[3]), int(match[4])) if match[3] else (1, 1)
        if not 0 < used <= group:
            return None
        cpus.update(cpu for cpu in range(first, last + 1) if (cpu - first) % group < used)
    return sorted(cpus)


def format_cpu_list(cpus: Iterable[int]) -> str:
    """Write CPUs the kernel's way: [0, 1, 2, 5] gives `0-2,5`."""
    spans: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if spans and spans[-1][1] == cpu - 1:
            spans[-1][1] = cpu
        else:
            spans.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
