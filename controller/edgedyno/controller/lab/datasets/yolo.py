"""Reads YOLO labels: a text file for each image, a line for each object, in fractions of the image's sides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.datasets.base import Box, Entry, Label, Labelled, Source
from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.text import CODE, decode
from edgedyno.controller.lab.datasets.yolo_layout import Layout, find, layout_of, source
from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.core.profile import Task

__all__ = ["NAME", "TASKS", "find", "read", "source"]

NAME = "yolo"
TASKS: frozenset[Task] = frozenset({"detect"})
_BOX, _WITH_SCORE, _FOUR_CORNERS = 5, 6, 9
# A box may reach a little over the border by rounding; a pixel coordinate is far above that.
_PIXELS_ABOVE = 1.5
_LEVEL = 1e-3


class _Line(Struct, frozen=True, gc=False):
    place: str
    index: int
    numbers: list[float]


def read(source: Source, findings: Findings) -> Labelled:
    """Read all label files of the layout. An image without one is background, which is told."""
    layout = layout_of(source, findings)
    lines = {name: _read_file(label, findings) for name, _, label in layout.images if label is not None}
    _refuse_oriented([line for of_image in lines.values() for line in of_image], source)
    entries = [
        Entry(number, name, path, [_label(line, findings) for line in lines.get(name, ())])
        for number, (name, path, _) in enumerate(layout.images)
    ]
    _report_layout(layout, findings)
    if layout.names is not None:
        _check_classes(entries, len(layout.names), findings)
    return Labelled(source, entries, layout.names, unit="fractions", task="detect")


def _report_layout(layout: Layout, findings: Findings) -> None:
    findings.add("dataset.image-unlabelled", *(name for name, _, label in layout.images if label is None))
    findings.add("dataset.label-orphan", *layout.orphans)


def _read_file(path: Path, findings: Findings) -> list[_Line]:
    try:
        text = decode(path.read_bytes(), path)
    except OSError as error:
        raise ConfigError(f"{shown(str(path))}: {error.strerror}, expected labels", code=CODE) from error
    lines = []
    for number, row in enumerate(text.splitlines(), start=1):
        words = row.split()
        if not words or words[0].startswith("#"):
            continue
        line = _parse(words, f"{path.name}:{number}", path, number)
        if any(value > _PIXELS_ABOVE for value in line.numbers if math.isfinite(value)):
            findings.add("dataset.yolo-pixels", f"{line.place} ({row.strip()[:60]})")
        else:
            lines.append(line)
    return lines


def _parse(words: list[str], place: str, path: Path, number: int) -> _Line:
    where = f"{shown(str(path))}:{number}"
    count = len(words)
    if count == _WITH_SCORE:
        raise ConfigError(
            f"{where}: found 6 columns, expected `class x y width height`: with a score as well these are "
            "predictions, not labels",
            code=CODE,
        )
    if count < _BOX or count % 2 == 0:
        raise ConfigError(
            f"{where}: found {count} columns, expected `class x y width height`, or a class and a polygon",
            code=CODE,
        )
    try:
        index, numbers = float(words[0]), [float(word) for word in words[1:]]
    except ValueError as error:
        raise ConfigError(
            f"{where}: found {shown(' '.join(words))[:60]!r}, expected numbers `class x y width height`",
            code=CODE,
        ) from error
    if not (index.is_integer() and 0 <= index < 2**31):
        raise ConfigError(f"{where}: found the class {words[0]}, expected an index from 0 on", code=CODE)
    return _Line(place, int(index), numbers)


def _refuse_oriented(lines: list[_Line], source: Source) -> None:
    """Refuse boxes at an angle: four corners in every line, and not one of them upright."""
    if lines and all(len(line.numbers) == _FOUR_CORNERS - 1 for line in lines):
        tilted = [line for line in lines if not _is_upright(line.numbers)]
        if len(tilted) == len(lines):
            raise UnsupportedError(
                f"{source.words}: found four corners in every line, none of them an upright box "
                f"({tilted[0].place}): oriented boxes (OBB) are not supported yet; supported: detect, classify",
                code="dataset.task",
            )


def _is_upright(numbers: list[float]) -> bool:
    """Tell whether the corners share two x and two y."""
    return all(
        any(abs(value - end) < _LEVEL for end in (min(values), max(values)))
        for values in (numbers[0::2], numbers[1::2])
        for value in values
    )


def _label(line: _Line, findings: Findings) -> Label:
    if len(line.numbers) == _BOX - 1:
        x, y, width, height = line.numbers
        return Label(line.index, line.place, (x - width / 2, y - height / 2, width, height))
    findings.add("dataset.box-polygon", line.place)
    return Label(line.index, line.place, _around(line.numbers))


def _around(points: list[float]) -> Box:
    left, right = min(points[0::2]), max(points[0::2])
    top, bottom = min(points[1::2]), max(points[1::2])
    return left, top, right - left, bottom - top


def _check_classes(entries: list[Entry], classes: int, findings: Findings) -> None:
    labels = [label for entry in entries for label in entry.labels]
    report_indices([(label.class_index, label.place) for label in labels], classes, findings)


def report_indices(labels: list[tuple[int, str]], classes: int, findings: Findings) -> None:
    """Report class numbers that there are no classes of, and which mistake they look like."""
    beyond = [(index, place) for index, place in labels if index >= classes]
    if not beyond:
        return
    lowest, highest = min(index for index, _ in labels), max(index for index, _ in labels)
    code = "dataset.class-unknown"
    if classes == 80 and highest <= 90:  # noqa: PLR2004 - COCO's classes, and its category ids
        code = "dataset.class-coco-ids"
    if lowest > 0 and highest == classes:
        code = "dataset.class-from-one"
    findings.add(code, *(f"{place}: class {index} of {classes}" for index, place in beyond))
