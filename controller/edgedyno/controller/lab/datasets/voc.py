"""Reads Pascal VOC: an XML file for each image, and lists of images in ImageSets.

Boxes are corners there. VOC's own files count pixels from 1 and mean the last pixel to be inside (Development Kit
2012, section 4.1); the files of other tools hold plain corners. Which of both is told by the `database` and by
coordinates that VOC's cannot be.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.datasets.base import Box, Entry, Label, Labelled, Source, stated_size
from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.folder import ImageFolder, files_of, image_names, is_safe, subfolders
from edgedyno.controller.lab.datasets.splits import prefer, split_of
from edgedyno.controller.lab.datasets.text import CODE, read_text
from edgedyno.controller.lab.datasets.xml_tree import Element, read_xml
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.core.profile import Task

NAME = "voc"
TASKS: frozenset[Task] = frozenset({"detect"})
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_IMAGES = ("JPEGImages", "images", "Images")
_TRUE = frozenset({"1", "true", "True"})


class _Object(Struct, frozen=True):
    name: str
    place: str
    corners: tuple[float, float, float, float]
    difficult: bool


class _Picture(Struct, frozen=True):
    stem: str
    file_name: str
    database: str
    stated: tuple[float, float] | None
    objects: list[_Object]


def find(folder: Path) -> list[Source]:
    """Return what is there: by Annotations/ or annotations/ with XML files, or XML files beside the images."""
    for name in ("Annotations", "annotations"):
        if files_of(folder / name, ".xml"):
            return [_source(folder / name, None)]
    splits = [sub for sub in subfolders(folder) if split_of(sub.name)]
    places = {str(place.relative_to(folder)): place for place in (folder, *splits) if files_of(place, ".xml")}
    chosen = prefer(places)
    return (
        [_source(chosen[0], None, f", {chosen[1]}")]
        if chosen
        else [_source(p, None) for p in places.values()]
    )


def source(annotations: Path, images: Path | None) -> Source | None:
    """Return the data set of a folder of XML files, of one such file, or of a list in ImageSets."""
    if annotations.is_dir():
        return _source(annotations, images) if files_of(annotations, ".xml") else None
    if annotations.suffix.lower() == ".xml":
        return _source(annotations, images)
    if annotations.suffix == ".txt" and "ImageSets" in annotations.parts:
        return _source(annotations, images)
    return None


def _source(annotations: Path, images: Path | None, more: str = "") -> Source:
    root = annotations.parent
    if annotations.suffix == ".txt":
        root = annotations.parents[2]
    elif annotations.suffix.lower() == ".xml":
        root = annotations.parents[1] if not image_names(annotations.parent) else annotations.parent
    candidates = (
        annotations if annotations.is_dir() else annotations.parent,
        *(root / name for name in _IMAGES),
    )
    folder = images or next((place for place in candidates if image_names(place)), root)
    return Source(NAME, f"Pascal VOC XML, {shown(annotations.name)}{more}", folder, annotations)


def read(source: Source, findings: Findings) -> Labelled:
    """Read all XML files, or those of the list that is for validation."""
    paths, words = _files(source, findings)
    pictures = [picture for path in paths if (picture := _read_file(path, findings)) is not None]
    is_own = _is_vocs(pictures)
    names = sorted({each.name for picture in pictures for each in picture.objects})
    index = {name: number for number, name in enumerate(names)}
    images = ImageFolder(source.images)
    entries: list[Entry] = []
    for picture in sorted(pictures, key=lambda picture: picture.stem):
        path = _image(picture, images, findings)
        if path is not None:
            labels = [_label(each, index, own=is_own) for each in picture.objects]
            name = path.relative_to(source.images).as_posix()
            entries.append(Entry(len(entries), name, path, labels, picture.stated))
    listed = {entry.name for entry in entries}
    findings.add("dataset.image-unlisted", *(name for name in images.names if name not in listed))
    told = f"{source.words}{words}, corners {'as in VOC itself, from 1' if is_own else 'as other tools write them'}"
    told_source = Source(source.format, told, source.images, source.annotations)
    return Labelled(told_source, entries, names, task="detect")


def _files(source: Source, findings: Findings) -> tuple[list[Path], str]:
    """Return the XML files to read, and which list they come from."""
    annotations = source.annotations
    if annotations is None:
        raise ConfigError(f"found no XML files for {source.images}, expected some", code=CODE)
    if annotations.suffix == ".txt":
        return _of_list(annotations, annotations.parents[2] / "Annotations", findings), ""
    if annotations.is_file():
        return [annotations], ""
    lists = files_of(annotations.parent / "ImageSets" / "Main", ".txt")
    general = {path.stem: path for path in lists if path.stem in ("val", "test", "train", "trainval")}
    # trainval names both others again.
    alone = {name: path for name, path in general.items() if name != "trainval" or len(general) == 1}
    chosen = prefer(alone)
    if chosen is not None:
        return _of_list(chosen[0], annotations, findings), f", ImageSets {chosen[1]}"
    return files_of(annotations, ".xml"), ""


def _of_list(path: Path, folder: Path, findings: Findings) -> list[Path]:
    found = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        stem = line.split()[0] if line.split() else ""
        if not stem:
            continue
        if not is_safe(stem):
            findings.add("dataset.image-name", f"{path.name}:{number}: {stem!r}")
        elif not (folder / f"{stem}.xml").is_file():
            findings.add("dataset.image-missing", f"{path.name}:{number}: {stem}.xml")
        else:
            found.append(folder / f"{stem}.xml")
    return list(dict.fromkeys(found))


def _read_file(path: Path, findings: Findings) -> _Picture | None:
    root = read_xml(path)
    if root.tag != "annotation":
        raise ConfigError(
            f"{shown(str(path))}:{root.line}: found <{shown(root.tag)}>, expected <annotation>", code=CODE
        )
    objects = [_object(child, path) for child in root.children if child.tag == "object"]
    findings.add("dataset.box-difficult", *(each.place for each in objects if each.difficult))
    width, height = (_number(root.value("size", side)) for side in ("width", "height"))
    return _Picture(
        path.stem,
        root.value("filename") or path.stem,
        root.value("source", "database") or "",
        stated_size(width, height),
        objects,
    )


def _object(element: Element, path: Path) -> _Object:
    where = f"{shown(str(path))}:{element.line}"
    name = element.value("name")
    if not name:
        raise ConfigError(f"{where}: found an object without a name, expected its class", code=CODE)
    numbers = [_number(element.value("bndbox", corner)) for corner in _CORNERS]
    if any(number is None for number in numbers):
        missing = ", ".join(
            corner for corner, number in zip(_CORNERS, numbers, strict=True) if number is None
        )
        hint = " (an oriented box: not supported yet)" if element.find("robndbox") else ""
        raise ConfigError(
            f"{where}: {shown(name)}: found no number for {missing}, expected one{hint}", code=CODE
        )
    left, top, right, bottom = (number for number in numbers if number is not None)
    difficult = element.value("difficult") in _TRUE
    return _Object(name, f"{path.name}:{element.line}", (left, top, right, bottom), difficult)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _is_vocs(pictures: list[_Picture]) -> bool:
    """Tell whether corners are VOC's own: by name, and never with a corner at 0 or between pixels."""
    corners = [corner for picture in pictures for each in picture.objects for corner in each.corners]
    if any(not math.isfinite(corner) or corner < 1 or not corner.is_integer() for corner in corners):
        return False
    return bool(pictures) and all("VOC" in picture.database for picture in pictures)


def _label(each: _Object, index: dict[str, int], *, own: bool) -> Label:
    left, top, right, bottom = each.corners
    shift = 1 if own else 0
    box: Box = (left - shift, top - shift, right - left + shift, bottom - top + shift)
    return Label(index[each.name], each.place, box, crowd=each.difficult)


def _image(picture: _Picture, images: ImageFolder, findings: Findings) -> Path | None:
    """Return the image that a file names, or else the one that is named as the file itself."""
    safe = is_safe(picture.file_name)
    path = images.find(picture.file_name) if safe else None
    if path is not None:
        return path
    own = images.find_stem(picture.stem)
    if own is not None:
        if picture.file_name != picture.stem:  # a name without its suffix is usual
            findings.add("dataset.file-name", f"{picture.stem}.xml: {picture.file_name!r}")
        return images.root / own
    if not safe:
        findings.add("dataset.image-name", f"{picture.stem}.xml: {picture.file_name!r}")
    else:
        findings.add(
            "dataset.image-missing",
            f"{images.root / picture.file_name}{images.nearest(picture.file_name)}",
        )
    return None
