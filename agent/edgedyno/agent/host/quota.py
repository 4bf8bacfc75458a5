"""The CPU quota of this process's control group (a container's `--cpus`, a unit's CPUQuota), v1 and v2.

A quota stops a worker in the middle of an inference until the next period begins (100 ms as a rule): what is
measured then is the quota. Only finds and reads; not responsible for judging.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.read import is_there, read_text

if TYPE_CHECKING:
    from pathlib import Path

_THROTTLED = re.compile(r"^nr_throttled (\d+)$", re.MULTILINE)


class Quota(NamedTuple):
    """The tightest quota that holds for a process."""

    cpus: float
    """CPU seconds per second."""
    group: str


def quota_folders(root: Path) -> list[Path] | None:
    """Return the folders whose quota holds for this process, its own group first; None where no cpu controller is.

    Every group above counts too: the tightest quota wins. Inside a container the group's path may not exist in
    its view of the tree; then the root of that view is the group.
    """
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        for base in _bases(root, controllers):
            parts = [part for part in path.split("/") if part and part != ".."]
            folders = [base.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]
            if known := [folder for folder in folders if is_there(folder / "cpu.stat")]:
                return known
    return None


def _bases(root: Path, controllers: str) -> list[Path]:
    base = root / "sys/fs/cgroup"
    if not controllers:
        return [base, base / "unified"] if is_there(base / "cgroup.controllers") else []
    return [base / controllers, base / "cpu"] if "cpu" in controllers.split(",") else []


def read_quota(folders: list[Path]) -> Quota | None:
    """Return the tightest quota of some groups; None where there is none."""
    quotas = [Quota(cpus, str(folder)) for folder in folders if (cpus := _cpus(folder)) is not None]
    return min(quotas, default=None)


def _cpus(folder: Path) -> float | None:
    words = (read_text(folder / "cpu.max") or "").split()
    if not words:
        words = [read_text(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    if len(words) < 2 or not all(word.isdecimal() for word in words):  # noqa: PLR2004  ("max 100000", or -1)
        return None
    return int(words[0]) / int(words[1]) if int(words[1]) else None


def read_memory_limit(folders: list[Path]) -> int | None:
    """Return the tightest memory limit of some groups (v2); None where there is none."""
    texts = [read_text(folder / "memory.max") or "" for folder in folders]
    return min((int(text) for text in texts if text.isdecimal()), default=None)


def read_quota_throttles(folders: list[Path]) -> int:
    """Return how often these groups were stopped since they began; 0 for groups that can have no quota."""
    found = [_THROTTLED.search(read_text(folder / "cpu.stat") or "") for folder in folders]
    return sum(int(match[1]) for match in found if match)
