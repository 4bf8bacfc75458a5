"""Reads a folder for each class: called by its name, its index, or ImageNet's id of it (a wnid such as n01440764)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from edgedyno.controller.lab.datasets.base import Entry, Label, Labelled, Source
from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.folder import ImageFolder, image_names, subfolders
from edgedyno.controller.lab.datasets.splits import prefer, split_of
from edgedyno.controller.lab.datasets.text import CODE, decode, read_bytes
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.core.profile import Task

NAME = "imagenet"
TASKS: frozenset[Task] = frozenset({"classify"})
_FEWEST = 2
_WNID = re.compile(r"n\d{8}")
# Of LOC_synset_mapping.txt, synset_words.txt: an id and words; their lines stand in the order of the indices.
_MAP = re.compile(r"(n\d{8})\b\s*(.*)")
_NO_CLASSES = frozenset({"images", "labels", "annotations", "calibration"})


def find(folder: Path) -> list[Source]:
    """Return what is there: two or more folders with images in them, or such a folder for each split."""
    if image_names(folder):
        return []
    classes = _classes(folder)
    if len(classes) >= _FEWEST and not all(split_of(name) for name in classes):
        return [Source(NAME, f"a folder for each of {len(classes)} classes", folder, _map_near(folder))]
    splits = {
        sub.name: sub for sub in subfolders(folder) if len(_classes(sub)) >= _FEWEST and split_of(sub.name)
    }
    chosen = prefer(splits)
    if chosen is None:
        return [Source(NAME, f"a folder for each class, {name}", place) for name, place in splits.items()]
    place, words = chosen
    return [
        Source(NAME, f"a folder for each of {len(_classes(place))} classes, {words}", place, _map_near(place))
    ]


def source(annotations: Path, images: Path | None) -> Source | None:
    """Return the data set of a file that maps ImageNet's ids to indices."""
    if images is None or annotations.suffix.lower() not in (".txt", ".json") or not _classes(images):
        return None
    return Source(NAME, f"a folder for each class, mapped by {shown(annotations.name)}", images, annotations)


def read(source: Source, findings: Findings) -> Labelled:
    """Read the names of folders and images."""
    names = sorted(_classes(source.images))
    if not names:
        raise ConfigError(f"found no folders with images in {source.images}, expected one a class", code=CODE)
    mapped = None if source.annotations is None else _read_map(source.annotations)
    if mapped is not None:
        findings.add(
            "dataset.class-unknown", *(f"{name}/: not in the map" for name in names if name not in mapped)
        )
    entries: list[Entry] = []
    for position, name in enumerate(names):
        index = position if mapped is None else mapped.get(name)
        if index is None:
            continue
        for image in ImageFolder(source.images / name).names:
            path = source.images / name / image
            label = Label(index, f"{name}/{image}")
            entries.append(Entry(len(entries), f"{name}/{image}", path, [label]))
    loose = image_names(source.images)
    findings.add("dataset.image-unlisted", *loose)
    return Labelled(source, entries, names if mapped is None else None, task="classify")


def are_wnids(names: list[str]) -> bool:
    """Tell whether classes are called by ImageNet's ids."""
    return bool(names) and all(_WNID.fullmatch(name) for name in names)


def _classes(folder: Path) -> list[str]:
    return [
        sub.name
        for sub in subfolders(folder)
        if sub.name.lower() not in _NO_CLASSES and ImageFolder(sub).names
    ]


def _map_near(folder: Path) -> Path | None:
    """Return a map that comes with the data set."""
    for place in (folder, folder.parent):
        for name in (
            "LOC_synset_mapping.txt",
            "synset_words.txt",
            "synsets.txt",
            "imagenet_class_index.json",
        ):
            if (place / name).is_file():
                return place / name
    return None


def _read_map(path: Path) -> dict[str, int]:
    """Return the index of each class; of a list it is the line's position."""
    text = decode(read_bytes(path), path)
    if path.suffix.lower() == ".json":
        return _json_map(text, path)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    matches = [_MAP.match(line) for line in lines]
    names = [match[1] if match else line for match, line in zip(matches, lines, strict=True)]
    if len(set(names)) != len(names):
        raise ConfigError(f"{shown(str(path))}: found a class twice, expected a line for each", code=CODE)
    return {name: index for index, name in enumerate(names)}


def _json_map(text: str, path: Path) -> dict[str, int]:
    """Read Keras' {"0": ["n01440764", "tench"]}, or {"n01440764": 0}."""
    try:
        data = json.loads(text)
        if all(isinstance(value, int) for value in data.values()):
            return {str(name): int(index) for name, index in data.items()}
        return {str(value[0]): int(index) for index, value in data.items()}
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise ConfigError(
            f'{shown(str(path))}: found no map ({error}), expected {{"0": ["n01440764", "tench"], …}}',
            code=CODE,
        ) from error
