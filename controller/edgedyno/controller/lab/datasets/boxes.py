"""Checks boxes against their images, and brings them to pixels; what is changed or left out is told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from edgedyno.controller.lab.datasets.base import Box, Entry, Label, Labelled
    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.controller.lab.datasets.header import ImageFacts

    Size = tuple[float, float]

TOLERANCE_PIXELS = 1.0
# Fewer boxes than that, or fewer that do not fit, may be chance.
_MIN_BOXES = 5
_UNFIT_SHARE = 0.2
_DIGITS = 6


def check_boxes(labelled: Labelled, facts: dict[str, ImageFacts], findings: Findings) -> list[Entry]:
    """Return the entries with boxes in pixels, inside their images, each once."""
    return [_checked(entry, _size(entry, facts), labelled, findings) for entry in labelled.entries]


def report_corners(entries: list[Entry], facts: dict[str, ImageFacts], findings: Findings) -> None:
    """Report boxes that fit their images only as two corners."""
    pairs = [
        (label, size)
        for entry in entries
        if (size := _size(entry, facts))
        for label in entry.labels
        if label.box is not None
    ]
    if len(pairs) < _MIN_BOXES or not all(_fits_as_corners(label.box, size) for label, size in pairs):
        return
    unfit = [label for label, size in pairs if _overhang(label.box, size) > TOLERANCE_PIXELS]
    if len(unfit) >= _UNFIT_SHARE * len(pairs):
        findings.add("dataset.box-corners", *(f"{label.place} {_write(label.box)}" for label in unfit))


def _size(entry: Entry, facts: dict[str, ImageFacts]) -> Size | None:
    return facts[entry.name].size or entry.stated


def _checked(entry: Entry, size: Size | None, labelled: Labelled, findings: Findings) -> Entry:
    kept: dict[tuple[object, ...], Label] = {}
    for label in entry.labels:
        usable = _usable(label, size, labelled.unit, findings)
        if usable is None:
            continue
        key = (usable.class_index, usable.box, usable.crowd)
        if key in kept:
            findings.add("dataset.label-repeated", label.place)
        else:
            kept[key] = usable
    return msgspec.structs.replace(entry, labels=list(kept.values()), stated=size)


def _usable(label: Label, size: Size | None, unit: str, findings: Findings) -> Label | None:
    """Return the label with its box in pixels, cut at the image's border; None for one that nothing can hit."""
    if label.box is None:
        return label
    if not all(map(math.isfinite, label.box)):
        findings.add("dataset.box-not-finite", label.place)
        return None
    box = label.box
    if unit == "fractions":
        if size is None:
            return None  # its image is unreadable, which is told already
        box = _scaled(box, size)
    if box[2] <= 0 or box[3] <= 0:
        findings.add("dataset.box-degenerate", f"{label.place} {_write(box)}")
        return None
    cut = box if size is None else _cut(label.place, box, size, findings)
    if cut is None:
        return None
    area = label.area if label.area is not None and math.isfinite(label.area) else None
    return msgspec.structs.replace(label, box=cut, area=area)


def _scaled(box: Box, size: Size) -> Box:
    """Return a box of fractions in pixels, without the noise of the last digits."""
    width, height = size
    x, y = round(box[0] * width, _DIGITS), round(box[1] * height, _DIGITS)
    return x, y, round(box[2] * width, _DIGITS), round(box[3] * height, _DIGITS)


def _cut(place: str, box: Box, size: Size, findings: Findings) -> Box | None:
    """Return the box as it is, cut at the border where it reaches beyond, None where it lies outside."""
    if _overhang(box, size) <= TOLERANCE_PIXELS:
        return box
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], size[0]), min(box[1] + box[3], size[1])
    what = f"{place} {_write(box)} of {size[0]:g}x{size[1]:g}"
    if right <= left or bottom <= top:
        findings.add("dataset.box-off-image", what)
        return None
    findings.add("dataset.box-outside", what)
    return left, top, right - left, bottom - top


def _overhang(box: Box | None, size: Size) -> float:
    """Return by how many pixels a box reaches beyond its image."""
    if box is None:
        return 0.0
    x, y, width, height = box
    return max(-x, -y, x + width - size[0], y + height - size[1])


def _fits_as_corners(box: Box | None, size: Size) -> bool:
    if box is None:
        return False
    left, top, right, bottom = box
    within = right <= size[0] + TOLERANCE_PIXELS and bottom <= size[1] + TOLERANCE_PIXELS
    return left < right and top < bottom and left >= 0 and top >= 0 and within


def _write(box: Box | None) -> str:
    return "" if box is None else "[" + ", ".join(f"{number:.6g}" for number in box) + "]"
