"""Which CPUs are threads of one physical core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.host.read import read_cpu_list
from edgedyno.agent.host.topology import CPU_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def physical_first(root: Path, cpus: Iterable[int]) -> list[int]:
    """Order CPUs so that the first of every physical core come before all second threads."""
    return sorted(cpus, key=lambda cpu: (_rank(root, cpu), cpu))


def _rank(root: Path, cpu: int) -> int:
    siblings = read_cpu_list(root / CPU_FOLDER / f"cpu{cpu}/topology/thread_siblings_list") or []
    return siblings.index(cpu) if cpu in siblings else 0
