"""The processor's caches, by level and kind. Not responsible for how they are used."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from edgedyno.agent.host.problems import note_content
from edgedyno.agent.host.read import entries, read_cpu_list, read_int, read_text
from edgedyno.agent.host.topology import CPU_FOLDER
from edgedyno.core.board import Cache

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_SIZE = re.compile(r"(\d+)([KMG]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def read_caches(root: Path, online: Collection[int]) -> list[Cache]:
    """Return each kind of cache once; big and little cores may have several sizes of one level.

    A cache that several CPUs share is read at the first of them only: 128 CPUs have four folders each.
    """
    seen: Counter[tuple[int, str, int, int]] = Counter()
    covered: set[tuple[int, str, int]] = set()
    for cpu in sorted(online):
        folder = root / CPU_FOLDER / f"cpu{cpu}/cache"
        for name in entries(folder):
            if name.startswith("index"):
                _read_one(folder / name, cpu, online, seen, covered)
    return [Cache(level, kind, size, shared) for level, kind, size, shared in sorted(seen)]


def _read_one(
    folder: Path,
    cpu: int,
    online: Collection[int],
    seen: Counter[tuple[int, str, int, int]],
    covered: set[tuple[int, str, int]],
) -> None:
    level, kind = read_int(folder / "level"), (read_text(folder / "type") or "").lower()
    if level is None or not kind or (level, kind, cpu) in covered:
        return
    size = _bytes(folder / "size")
    shared = read_cpu_list(folder / "shared_cpu_list") or [cpu]
    covered.update((level, kind, other) for other in shared)
    if size:
        seen[level, kind, size, len(set(shared) & set(online)) or 1] += 1


def _bytes(path: Path) -> int | None:
    text = read_text(path)
    match = _SIZE.fullmatch(text or "")
    if match is None:
        if text:
            note_content(path, text, "a size such as 512K")
        return None
    return int(match[1]) * _UNITS[match[2]]
