"""Checks a data set's images by their headers and hashes: what is empty, damaged, doubled, turned, of another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.datasets.folder import is_safe
from edgedyno.controller.lab.datasets.header import ImageFacts, read_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.controller.lab.datasets.base import Entry, Labelled
    from edgedyno.controller.lab.datasets.findings import Findings

    Progress = Callable[[int, int], None]

_SIZE_TOLERANCE_PIXELS = 1
# Odd sizes may be slips; when most are odd, the images were scaled after labelling.
_MOST = 0.5
_UPRIGHT = 1


def examine(labelled: Labelled, findings: Findings, progress: Progress) -> dict[str, ImageFacts]:
    """Read each image file once; return what it says of itself, by name."""
    facts: dict[str, ImageFacts] = {}
    total = len(labelled.entries)
    for done, entry in enumerate(labelled.entries):
        progress(done, total)
        if entry.name in facts:
            findings.add("dataset.image-twice", entry.name)
        else:
            facts[entry.name] = _read(entry)
    progress(total, total)
    _report_files(labelled.entries, facts, findings)
    _report_sizes(labelled.entries, facts, findings)
    return facts


def _read(entry: Entry) -> ImageFacts:
    try:
        return read_facts(entry.path)
    except OSError as error:
        return ImageFacts("", 0, problem=error.strerror)


def _report_files(entries: list[Entry], facts: dict[str, ImageFacts], findings: Findings) -> None:
    first: dict[str, str] = {}
    for entry in {entry.name: entry for entry in entries}.values():
        found = facts[entry.name]
        if not is_safe(entry.name):
            findings.add("dataset.image-name", repr(entry.name))
        if not found.sha256:
            findings.add("dataset.image-missing", f"{entry.name} ({found.problem})")
            continue
        if not found.size_bytes:
            findings.add("dataset.image-empty", entry.name)
            continue
        if found.problem is not None:
            findings.add("dataset.image-unreadable", f"{entry.name} ({found.problem})")
        other = first.setdefault(found.sha256, entry.name)
        if other != entry.name:
            findings.add("dataset.image-same", f"{entry.name} is {other}")


def _report_sizes(entries: list[Entry], facts: dict[str, ImageFacts], findings: Findings) -> None:
    odd, comparable = [], 0
    for entry in entries:
        found = facts[entry.name]
        if found.size is None:
            continue
        turned = found.orientation != _UPRIGHT
        if entry.stated is None:
            if turned:
                findings.add("dataset.image-turned", f"{entry.name} (orientation {found.orientation})")
            continue
        comparable += 1
        if _same(entry.stated, found.size):
            if turned:
                findings.add("dataset.image-turned", f"{entry.name} (orientation {found.orientation})")
        elif turned and found.lying and _same(entry.stated, found.lying):
            findings.add("dataset.image-rotated", f"{entry.name} (orientation {found.orientation})")
        else:
            odd.append(f"{entry.name} ({_write(found.size)}, labelled as {_write(entry.stated)})")
    code = "dataset.image-sizes" if len(odd) > _MOST * comparable else "dataset.image-size"
    findings.add(code, *odd)


def _same(stated: tuple[float, float], found: tuple[int, int]) -> bool:
    return all(abs(one - other) <= _SIZE_TOLERANCE_PIXELS for one, other in zip(stated, found, strict=True))


def _write(size: tuple[float, float]) -> str:
    return f"{size[0]:g}x{size[1]:g}"
