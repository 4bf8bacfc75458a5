"""Goes through a data set as a whole: finds its format, reads and checks it, and says what is in it."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.datasets.base import Entry, Source
from edgedyno.controller.lab.datasets.boxes import check_boxes, report_corners
from edgedyno.controller.lab.datasets.class_map import Classes, map_classes
from edgedyno.controller.lab.datasets.findings import Finding, Findings
from edgedyno.controller.lab.datasets.formats import locate, read
from edgedyno.controller.lab.datasets.header import ImageFacts
from edgedyno.controller.lab.datasets.images import examine
from edgedyno.controller.lab.datasets.resolving_power import MIN_IMAGES, Power, resolving_power
from edgedyno.core.errors import ConfigError
from edgedyno.core.profile import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedyno.controller.lab.datasets.base import Labelled
    from edgedyno.core.profile import DatasetProfile

# COCO's borders between small, medium and large boxes, in square pixels (cocodataset.org/#detection-eval).
_SMALL, _LARGE = 32.0**2, 96.0**2


class Examined(Struct, frozen=True):
    """A data set that was read and checked."""

    source: Source
    task: Task | None
    """None where there are no labels."""
    entries: list[Entry]
    classes: Classes
    facts: dict[str, ImageFacts]
    findings: list[Finding]


class Survey(Struct, frozen=True):
    """What is in a data set, for people and programs."""

    name: str
    format: str
    found: str
    task: Task | None
    images: int
    images_with_labels: int
    bytes: int
    labels: int
    """Boxes, or images with a class."""
    classes: dict[str, int]
    """Labels of each class, the most frequent first."""
    box_sizes: dict[str, int] | None
    image_sizes: dict[str, list[int]]
    findings: list[Finding]
    power: Power | None
    """None where there are no labels to score with."""


def nothing(_done: int, _total: int) -> None:
    """Show no progress."""


def examine_dataset(
    profile: DatasetProfile,
    class_names: list[str] | None,
    *,
    base: Path,
    task: Task | None,
    progress: Callable[[int, int], None] = nothing,
) -> Examined:
    """Read and check the data set of a profile, whose paths are relative to `base`.

    What is wrong with single images and labels is among the findings. Raises ConfigError or UnsupportedError for
    what cannot be read at all: dataset.images, dataset.annotations, dataset.format, dataset.classes, dataset.task.
    """
    annotations = base / profile.annotations if profile.annotations is not None else None
    source = locate(base / profile.images, annotations=annotations, form=profile.format, task=task)
    findings = Findings()
    labelled = read(source, findings)
    _check_task(labelled, task)
    _check_not_empty(labelled, findings)
    classes = map_classes(labelled, class_names, findings)
    facts = examine(labelled, findings, progress)
    entries = labelled.entries
    if labelled.task == "detect":
        if labelled.unit == "pixels":
            report_corners(entries, facts, findings)
        entries = check_boxes(labelled, facts, findings)
        _report_background(entries, findings)
    if labelled.task is not None and len(entries) < MIN_IMAGES:
        findings.add("dataset.few-images", f"{len(entries)}, expected {MIN_IMAGES} or more")
    return Examined(labelled.source, labelled.task, entries, classes, facts, findings.listed())


def _check_task(labelled: Labelled, task: Task | None) -> None:
    if task is not None and labelled.task not in (None, task):
        raise ConfigError(
            f"found {labelled.source.words} for {labelled.task!r}, expected labels for {task!r}",
            code="dataset.task",
        )


def _check_not_empty(labelled: Labelled, findings: Findings) -> None:
    if labelled.entries:
        return
    missing = findings.count("dataset.image-missing")
    if missing > 1:
        findings.add("dataset.other-images", f"{missing} names, {labelled.source.images}")
    elif not missing and not findings.count("dataset.image-name"):
        raise ConfigError(
            f"found no images in {labelled.source.images} ({labelled.source.words}), expected at least one",
            code="dataset.images",
        )


def _report_background(entries: list[Entry], findings: Findings) -> None:
    if entries and not any(not label.crowd for entry in entries for label in entry.labels):
        findings.add("dataset.no-boxes", f"{len(entries)} images")
    elif findings.count("dataset.image-unlabelled") == 0:
        findings.add("dataset.image-background", *(entry.name for entry in entries if not entry.labels))


def summarise(name: str, examined: Examined) -> Survey:
    """Count what is in a data set that was examined."""
    labels = [label for entry in examined.entries for label in entry.labels]
    counts = Counter(
        examined.classes.names[label.class_index]
        for label in labels
        if label.class_index < len(examined.classes.names)
    )
    scorable = examined.task is not None and bool(labels)
    return Survey(
        name=name,
        format=examined.source.format,
        found=examined.source.words,
        task=examined.task,
        images=len(examined.entries),
        images_with_labels=sum(bool(entry.labels) for entry in examined.entries),
        bytes=sum(facts.size_bytes for facts in examined.facts.values()),
        labels=len(labels),
        classes=dict(counts.most_common()),
        box_sizes=_box_sizes(examined) if examined.task == "detect" else None,
        image_sizes=_image_sizes(examined),
        findings=examined.findings,
        power=resolving_power(examined.task, len(examined.entries)) if scorable and examined.task else None,
    )


def _box_sizes(examined: Examined) -> dict[str, int]:
    areas = [
        label.box[2] * label.box[3] if label.area is None else label.area
        for entry in examined.entries
        for label in entry.labels
        if label.box is not None
    ]
    return {
        "small": sum(area < _SMALL for area in areas),
        "medium": sum(_SMALL <= area < _LARGE for area in areas),
        "large": sum(area >= _LARGE for area in areas),
    }


def _image_sizes(examined: Examined) -> dict[str, list[int]]:
    """Return the least, middle and greatest width and height."""
    sizes = [facts.size for facts in examined.facts.values() if facts.size is not None]
    if not sizes:
        return {}
    sides = {"width": [width for width, _ in sizes], "height": [height for _, height in sizes]}
    return {name: [min(side), round(median(side)), max(side)] for name, side in sides.items()}
