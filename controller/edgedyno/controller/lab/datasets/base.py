"""What a reader of a label format gives: images and labels as the files state them, before any check."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.core.profile import Task

Box = tuple[float, float, float, float]
"""x, y, width, height."""


class Source(Struct, frozen=True):
    """Where a data set lies, and of which format it is."""

    format: str
    words: str
    """What was found, for people."""
    images: Path
    annotations: Path | None = None


class Label(Struct, frozen=True, gc=False):
    """One labelled object, or the class of an image."""

    class_index: int
    """Into the data set's own classes."""
    place: str
    box: Box | None = None
    area: float | None = None
    crowd: bool = False


class Entry(Struct, frozen=True):
    """One image with its labels."""

    id: int
    name: str
    """Relative to the folder of images."""
    path: Path
    labels: list[Label]
    stated: tuple[float, float] | None = None
    """Width and height that the labels were made for, where they say."""
    credit: str = ""
    """Photographer and licence, where the labels name them."""


class Labelled(Struct, frozen=True):
    """A data set as its files state it."""

    source: Source
    entries: list[Entry]
    class_names: list[str] | None = None
    """None: the labels give indices into the model's classes."""
    category_ids: list[int] = []
    """Of each class; empty: its position and one."""
    unit: Literal["pixels", "fractions"] = "pixels"
    task: Literal["detect", "classify"] | None = None
    """None where there are no labels."""


def stated_size(width: float | None, height: float | None) -> tuple[float, float] | None:
    """Return the size of an image as its labels state it; None for one that no image has."""
    if width is None or height is None or not (math.isfinite(width) and math.isfinite(height)):
        return None
    return (width, height) if min(width, height) > 0 else None


class Reader(Protocol):
    """One format of labels."""

    NAME: str
    TASKS: frozenset[Task]

    def find(self, folder: Path) -> list[Source]:
        """Return the data sets of this format in a folder that is given as a whole."""

    def source(self, annotations: Path, images: Path | None) -> Source | None:
        """Return the data set whose annotations these are, or None for another format's."""

    def read(self, source: Source, findings: Findings) -> Labelled:
        """Read images and labels. Raises ConfigError for what cannot be read at all."""
