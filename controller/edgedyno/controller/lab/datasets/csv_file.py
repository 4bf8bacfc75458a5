"""Reads tables: `file,class_index` or `file,class_name`, and boxes where the header names their columns."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

from edgedyno.controller.lab.datasets.base import Box, Entry, Label, Labelled, Source, stated_size
from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.folder import ImageFolder, files_of, is_image, is_safe
from edgedyno.controller.lab.datasets.text import CODE, decode, read_bytes
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.core.profile import Task

NAME = "csv"
TASKS: frozenset[Task] = frozenset({"classify", "detect"})
_SUFFIXES = (".csv", ".tsv")
_HEAD_BYTES = 4096
_COLUMNS = {
    "file": ("file", "filename", "file_name", "image", "image_path", "path", "name"),
    "class": ("class", "class_index", "class_name", "label", "category", "class_id"),
}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SIZES = ("x", "y", "width", "height")
Columns = dict[str, int]


def find(folder: Path) -> list[Source]:
    """Return the tables in a folder that look like labels."""
    files = [path for suffix in _SUFFIXES for path in files_of(folder, suffix) if _looks_so(path)]
    return [found for path in files if (found := source(path, None))]


def source(annotations: Path, images: Path | None) -> Source | None:
    """Return the data set of a table; its images lie in images/ beside it, or beside it."""
    if annotations.suffix.lower() not in (*_SUFFIXES, ".txt") or annotations.is_dir():
        return None
    beside = annotations.parent
    folder = images or (beside / "images" if (beside / "images").is_dir() else beside)
    return Source(NAME, f"a table, {shown(annotations.name)}", folder, annotations)


def _looks_so(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = decode_leniently(file.read(_HEAD_BYTES))
    except OSError:
        return False
    rows = [
        row for row in csv.reader(io.StringIO(head.replace("\0", "")), delimiter=_delimiter(head)) if row
    ][:2]
    return bool(rows) and (_header(rows[0]) is not None or is_image(rows[0][0]))


def decode_leniently(data: bytes) -> str:
    """Return the beginning of a text of unknown encoding, to see what it looks like."""
    return data.decode("utf-8-sig", "replace")


def read(source: Source, findings: Findings) -> Labelled:
    """Read the table: with columns for boxes it is of detection, else of classification."""
    if source.annotations is None:
        raise ConfigError(f"found no table for {source.images}, expected one", code=CODE)
    path = source.annotations
    rows = list(_rows(path))
    columns = _header(rows[0][1]) if rows else None
    body = rows[1:] if columns is not None or _is_unknown_header(rows) else rows
    if not body:
        raise ConfigError(f"{shown(str(path))}: found no rows, expected `file,class_index`", code=CODE)
    if columns is not None and ("xmin" in columns or {"x", "y"} <= columns.keys()):
        return _detection(source, body, columns, findings)
    return _classification(source, body, columns or {"file": 0, "class": 1}, findings)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Go through the rows that are not empty, each with its line."""
    text = decode(read_bytes(path), path)
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            cells = row
            if delimiter == " ":  # a file name may contain spaces; the class is the last word
                cells = [" ".join(row[:-1]).strip(), row[-1]] if len(row) > 1 else row
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise ConfigError(f"{shown(str(path))}:{reader.line_num}: not CSV: {error}", code=CODE) from error


def _delimiter(text: str) -> str:
    """Return what separates the cells of the first line that has anything in it."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return next((mark for mark in (",", ";", "\t") if mark in first), " " if " " in first.strip() else ",")


def _header(row: list[str]) -> Columns | None:
    """Return where the columns are, when the first row names them."""
    names = [cell.strip().lower() for cell in row]
    found = {}
    for meaning, spellings in _COLUMNS.items():
        place = next((names.index(spelling) for spelling in spellings if spelling in names), None)
        if place is None:
            return None
        found[meaning] = place
    boxes = {name: names.index(name) for name in (*_CORNERS, *_SIZES) if name in names}
    return {**boxes, **found}


def _is_unknown_header(rows: list[tuple[int, list[str]]]) -> bool:
    firsts = [row[0] for _, row in rows[:2]]
    return len(firsts) > 1 and not is_image(firsts[0]) and is_image(firsts[1])


def _classification(
    source: Source, rows: list[tuple[int, list[str]]], columns: Columns, findings: Findings
) -> Labelled:
    path = source.annotations
    by_file: dict[str, tuple[str, str]] = {}
    for line, row in rows:
        name, word = _cell(row, columns["file"]), _cell(row, columns["class"])
        if not name or not word:
            raise _row_error(path, line, row, "file,class_index")
        place = f"{path.name if path else ''}:{line}"
        before = by_file.setdefault(name, (word, place))
        if before[0] != word:
            findings.add("dataset.label-differs", f"{place}: {name}: {before[0]} and {word}")
        elif before[1] != place:
            findings.add("dataset.image-twice", f"{place}: {name}")
    names = _names(dict(by_file.values()), path)
    index = {name: number for number, name in enumerate(names)} if names is not None else None
    found = _found(source.images, list(by_file), findings)
    entries = [
        Entry(number, known, place, [Label(_index(by_file[name][0], index), by_file[name][1])])
        for number, (known, name, place) in enumerate(found)
    ]
    return Labelled(source, entries, names, task="classify")


def _names(words: dict[str, str], path: Path | None) -> list[str] | None:
    """Return the classes' names in order, or None where they are indices. Raises ConfigError for a mixture."""
    numbers = [word for word in words if word.isascii() and word.isdigit()]
    if not numbers:
        return sorted(words)
    odd = next((word for word in words if word not in set(numbers)), None)
    if odd is not None:
        raise ConfigError(
            f"{shown(str(path.parent if path else ''))}/{words[odd]}: found the class {shown(odd)!r} among numbers "
            f"such as {numbers[0]}, expected names alone or indices alone",
            code=CODE,
        )
    return None


def _index(word: str, index: dict[str, int] | None) -> int:
    return index[word] if index is not None else min(int(word[:18]), 2**31)


def _detection(
    source: Source, rows: list[tuple[int, list[str]]], columns: Columns, findings: Findings
) -> Labelled:
    path = source.annotations
    by_file: dict[str, list[tuple[str, str, Box]]] = {}
    stated: dict[str, tuple[float, float]] = {}
    for line, row in rows:
        name, word = _cell(row, columns["file"]), _cell(row, columns["class"])
        box = _box(row, columns)
        if not name or not word or box is None:
            raise _row_error(path, line, row, ",".join(columns))
        by_file.setdefault(name, []).append((word, f"{path.name if path else ''}:{line}", box))
        if "xmin" in columns and {"width", "height"} <= columns.keys():
            size = stated_size(*(_number(_cell(row, columns[side])) for side in ("width", "height")))
            if size is not None:
                stated[name] = size
    words = {word: place for labels in by_file.values() for word, place, _ in labels}
    names = _names(words, path)
    index = {name: number for number, name in enumerate(names)} if names is not None else None
    entries = []
    for number, (known, name, place) in enumerate(_found(source.images, list(by_file), findings)):
        labels = [Label(_index(word, index), where, box) for word, where, box in by_file[name]]
        entries.append(Entry(number, known, place, labels, stated.get(name)))
    return Labelled(source, entries, names, task="detect")


def _box(row: list[str], columns: Columns) -> Box | None:
    wanted = _CORNERS if "xmin" in columns else _SIZES
    if any(name not in columns for name in wanted):
        return None
    numbers = [_number(_cell(row, columns[name])) for name in wanted]
    if any(number is None for number in numbers):
        return None
    x, y, third, fourth = (number for number in numbers if number is not None)
    return (x, y, third - x, fourth - y) if wanted is _CORNERS else (x, y, third, fourth)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return math.nan if text.lower() == "null" else None


def _cell(row: list[str], column: int) -> str:
    return row[column].strip() if column < len(row) else ""


def _found(folder: Path, names: list[str], findings: Findings) -> list[tuple[str, str, Path]]:
    """Return the images that are there, in order: name in the folder, name in the table, path."""
    images = ImageFolder(folder)
    found = []
    for name in names:
        if not is_safe(name):
            findings.add("dataset.image-name", repr(name))
            continue
        path = images.find(name)
        if path is None:
            findings.add("dataset.image-missing", f"{folder / name}{images.nearest(name)}")
        else:
            found.append((path.relative_to(folder).as_posix(), name, path))
    used = {known for known, _, _ in found}
    findings.add("dataset.image-unlisted", *(name for name in images.names if name not in used))
    return sorted(found)


def _row_error(path: Path | None, line: int, row: list[str], expected: str) -> ConfigError:
    return ConfigError(
        f"{shown(str(path))}:{line}: found {shown(','.join(row))[:80]!r}, expected `{expected}`", code=CODE
    )
