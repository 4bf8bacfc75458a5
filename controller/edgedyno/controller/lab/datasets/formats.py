"""Finds out of which format a data set is, from what is there; says so in words, or which choices there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from edgedyno.controller.lab.datasets import coco, csv_file, imagenet, voc, yolo
from edgedyno.controller.lab.datasets.base import Entry, Labelled, Reader, Source
from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.folder import SUFFIXES, ImageFolder
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.core.profile import Task

READERS: dict[str, Reader] = {
    module.NAME: cast("Reader", module) for module in (coco, yolo, voc, imagenet, csv_file)
}
UNLABELLED = "images"


def locate(
    place: Path, *, annotations: Path | None = None, form: str | None = None, task: Task | None = None
) -> Source:
    """Return what lies at `place`, a folder or an annotations file; with `annotations` it is the images' folder.

    Raises ConfigError: dataset.images, dataset.annotations, dataset.format where it cannot be told.
    """
    readers = _readers(form, task)
    if annotations is not None:
        return _by_annotations(annotations, place, readers)
    if place.is_file():
        return _by_annotations(place, None, readers)
    if not place.is_dir():
        raise ConfigError(f"found no folder {shown(str(place))}, expected its images", code="dataset.images")
    found = [source for reader in readers for source in reader.find(place)]
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(place, found)
    if form is not None:
        raise ConfigError(
            f"found no {form} data set in {shown(str(place))}, expected one", code="dataset.format"
        )
    return _unlabelled(place)


def read(source: Source, findings: Findings) -> Labelled:
    """Read what was located."""
    if source.format != UNLABELLED:
        return READERS[source.format].read(source, findings)
    folder = ImageFolder(source.images)
    names = folder.names
    findings.add("dataset.labels-unread", *folder.may_be_labels())
    return Labelled(
        source, [Entry(number, name, source.images / name, []) for number, name in enumerate(names)]
    )


def _readers(form: str | None, task: Task | None) -> list[Reader]:
    readers = [READERS[form]] if form is not None else list(READERS.values())
    fitting = [reader for reader in readers if task is None or task in reader.TASKS]
    if not fitting:
        known = ", ".join(name for name, reader in READERS.items() if task in reader.TASKS)
        raise ConfigError(
            f"found the format {form!r} for a data set of task {task!r}, expected one of {known}",
            code="dataset.format",
        )
    return fitting


def _by_annotations(annotations: Path, images: Path | None, readers: list[Reader]) -> Source:
    if not annotations.exists():
        raise ConfigError(
            f"found no file {shown(str(annotations))}, expected its annotations (leave the key out for a data set "
            "without labels)",
            code="dataset.annotations",
        )
    if images is not None and not images.is_dir():
        raise ConfigError(f"found no folder {shown(str(images))}, expected its images", code="dataset.images")
    found = [source for reader in readers if (source := reader.source(annotations, images)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(annotations, found)
    names = ", ".join(reader.NAME for reader in readers)
    raise ConfigError(
        f"found {shown(str(annotations))}, which looks like none of the formats {names}; expected a .json, .csv or "
        "data.yaml file, or a folder of .txt or .xml files",
        code="dataset.format",
    )


def _ambiguous(place: Path, found: list[Source]) -> ConfigError:
    choices = "; ".join(
        f"{source.words} (`images: {shown(str(source.images))}`"
        + (f", `annotations: {shown(str(source.annotations))}`" if source.annotations else "")
        + f", `format: {source.format}`)"
        for source in found
    )
    return ConfigError(
        f"{shown(str(place))}: found several data sets, expected one: {choices}; write a data set profile with the "
        "one that you mean",
        code="dataset.format",
    )


def _unlabelled(place: Path) -> Source:
    if not ImageFolder(place).names:
        raise ConfigError(
            f"found no images in {shown(str(place))}, expected {', '.join(sorted(SUFFIXES))}",
            code="dataset.images",
        )
    return Source(UNLABELLED, "images without labels", place)
