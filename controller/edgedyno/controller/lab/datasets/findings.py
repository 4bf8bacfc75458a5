"""What is wrong with a data set: each finding with a stable code, a severity, a count and the offenders' places."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgedyno.core.errors import ConfigError

Severity = Literal["error", "warning", "note"]
SHOWN = 3
_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


class Finding(Struct, frozen=True):
    """One kind of trouble: an error refuses the job, a warning is shown, a note only where the set is checked."""

    code: str
    severity: Severity
    text: str
    count: int
    offenders: list[str]


# code: severity and words. docs/datasets.md lists them all; a test holds the two together.
CATALOGUE: dict[str, tuple[Severity, str]] = {
    "dataset.image-missing": ("error", "images that the labels name are not there"),
    "dataset.image-empty": ("error", "image files of 0 bytes"),
    "dataset.image-name": ("error", "file names that are absolute, lead out of the folder or are not UTF-8"),
    "dataset.image-id-twice": ("error", "image ids that several images have"),
    "dataset.other-images": (
        "error",
        "the labels are for other images: none of those that they name is there",
    ),
    "dataset.class-unknown": ("error", "labels of a class that there is none of"),
    "dataset.class-from-one": (
        "error",
        "class numbers run from 1 to the number of classes, expected 0 to one less",
    ),
    "dataset.class-coco-ids": (
        "error",
        "class numbers up to 90 for 80 classes: these are COCO's category ids, expected indices from 0 to 79",
    ),
    "dataset.class-twice": ("error", "class names or ids that several classes have"),
    "dataset.yolo-pixels": ("error", "coordinates above 1: pixels, expected fractions of the image's sides"),
    "dataset.box-corners": (
        "error",
        "boxes are the x and y of two corners by their looks (all of them fit so), expected x, y, width, height",
    ),
    "dataset.no-boxes": ("error", "there are images, but not one usable box"),
    "dataset.image-sizes": (
        "error",
        "most images have another size than their labels say: boxes do not fit them",
    ),
    "dataset.image-size": ("warning", "images have another size than their labels say"),
    "dataset.image-unreadable": (
        "warning",
        "files are no images, or damaged: each counts as one where nothing is found",
    ),
    "dataset.image-rotated": (
        "warning",
        "images are turned upright by their EXIF mark, but labelled as they lie: their boxes are misplaced",
    ),
    "dataset.image-twice": ("warning", "images that are listed more than once"),
    "dataset.image-same": ("warning", "images whose content is that of another one"),
    "dataset.image-unlisted": ("warning", "images in the folder that no label names: not used"),
    "dataset.image-unlabelled": (
        "warning",
        "images without a label file: taken as background, where everything found is wrong; were they forgotten?",
    ),
    "dataset.labels-unread": (
        "warning",
        "files that may be labels, in none of the known formats: not read, so there is no accuracy",
    ),
    "dataset.label-orphan": ("warning", "labels for images that are not in the set: passed over"),
    "dataset.label-repeated": (
        "warning",
        "labels that say the same as another one of their image: counted once",
    ),
    "dataset.label-differs": ("error", "images with two different labels"),
    "dataset.box-outside": ("warning", "boxes beyond the border of their image by more than 1 px: cut there"),
    "dataset.box-off-image": ("warning", "boxes that lie wholly outside of their image: left out"),
    "dataset.box-degenerate": ("warning", "boxes without an area, or of a negative one: left out"),
    "dataset.box-not-finite": ("warning", "boxes with NaN or infinity: left out"),
    "dataset.box-polygon": ("warning", "polygons: the box around each is taken"),
    "dataset.file-name": (
        "warning",
        "label files that name another image than their own: their own is taken",
    ),
    "dataset.class-respelled": ("warning", "classes that the model spells differently, taken as the same"),
    "dataset.class-by-position": ("warning", "classes matched by their position, for want of common names"),
    "dataset.class-not-in-model": (
        "warning",
        "classes that the model does not have: their labels are not scored",
    ),
    "dataset.class-without-label": (
        "note",
        "classes of the model that no label has: nothing is said of them",
    ),
    "dataset.image-background": ("note", "images without any object"),
    "dataset.image-turned": ("note", "images are turned upright by their EXIF mark before anything else"),
    "dataset.box-difficult": (
        "note",
        "boxes marked difficult: like COCO's crowds, finding them counts neither way",
    ),
    "dataset.few-images": ("note", "too few images for an interval"),
}


class Findings:
    """Collects offenders by code while a data set is read and checked."""

    def __init__(self) -> None:
        self._offenders: dict[str, list[str]] = {}

    def add(self, code: str, *offenders: str) -> None:
        """Note offenders, each by its place and what is wrong there."""
        self._offenders.setdefault(code, []).extend(shown(offender) for offender in offenders)

    def count(self, code: str) -> int:
        """Return how often something was found."""
        return len(self._offenders.get(code, ()))

    def listed(self) -> list[Finding]:
        """Return what was found, the worst first."""
        found = [
            Finding(code, *CATALOGUE[code], len(offenders), list(offenders))
            for code, offenders in self._offenders.items()
            if offenders
        ]
        return sorted(found, key=lambda one: (_ORDER[one.severity], list(CATALOGUE).index(one.code)))


def shown(name: str) -> str:
    """Return a name that can be printed and written as JSON, whatever bytes a file system or a file held."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def finding_line(finding: Finding) -> str:
    """Say a finding in one line: what, how often, and the first offenders."""
    first = ", ".join(finding.offenders[:SHOWN])
    more = ", …" if finding.count > SHOWN else ""
    return f"{finding.severity}: {finding.text}: {finding.count} ({first}{more}) [{finding.code}]"


def refuse(findings: list[Finding], what: str) -> None:
    """Raise ConfigError with every error among the findings; its code is that of the first."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        lines = [f"{what}: {finding_line(one).removeprefix('error: ')}" for one in errors]
        raise ConfigError("\n".join(lines), code=errors[0].code)
