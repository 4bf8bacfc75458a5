"""Reads COCO instances JSON as its users' tools write it. The normal form, which scoring reads, is `lab.coco`."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from edgedyno.controller.lab.datasets.base import Box, Entry, Label, Labelled, Source, stated_size
from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.folder import ImageFolder, files_of, image_names, is_safe, subfolders
from edgedyno.controller.lab.datasets.splits import prefer, split_of
from edgedyno.controller.lab.datasets.text import CODE, decode, read_bytes
from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.datasets.findings import Findings
    from edgedyno.core.profile import Task

NAME = "coco"
TASKS: frozenset[Task] = frozenset({"detect"})
_Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_END_BYTES = 1 << 16
# Other JSON has images too; only instances have these, first or last.
_KEYS = re.compile(rb'"(annotations|categories|supercategory|category_id)"\s*:')
# COCO's own files beside the instances.
_OTHERS = ("captions", "person_keypoints", "panoptic", "stuff", "image_info")
_COORDINATES = 4


class _Image(Struct, frozen=True, gc=False):
    id: _Id
    file_name: str
    width: float | None = None
    height: float | None = None
    license: Any = None
    flickr_url: Any = None


class _Annotation(Struct, frozen=True, gc=False):
    image_id: _Id
    category_id: _Id | None = None
    bbox: list[float] | None = None
    area: float | None = None
    iscrowd: bool | int | None = None


class _Category(Struct, frozen=True):
    id: _Id
    name: str
    keypoints: list[Any] | None = None


class _Instances(Struct, frozen=True):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]
    licenses: Any = None


_decoder = msgspec.json.Decoder(_Instances)


def find(folder: Path) -> list[Source]:
    """Return the instances files in a folder: its own, those in `annotations/`, or one in each split's folder."""
    places = [folder, folder / "annotations", *(sub for sub in subfolders(folder) if split_of(sub.name))]
    files = [
        path
        for place in places
        for path in files_of(place, ".json")
        if not path.name.startswith(_OTHERS) and _is_instances(path)
    ]
    if len(files) > 1:
        chosen = prefer({str(path.relative_to(folder)): path for path in files})
        if chosen is not None:
            return [_source(chosen[0], None, f" ({chosen[1]})")]
    return [_source(path, None) for path in files]


def source(annotations: Path, images: Path | None) -> Source | None:
    """Return the data set of a JSON file."""
    return _source(annotations, images) if annotations.suffix.lower() == ".json" else None


def _is_instances(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_END_BYTES)
            file.seek(max(len(head), path.stat().st_size - _END_BYTES))
            return bool(_KEYS.search(head) or _KEYS.search(file.read()))
    except OSError:
        return False


def _source(path: Path, images: Path | None, more: str = "") -> Source:
    folder = images or _images_of(path)
    return Source(NAME, f"COCO instances, {shown(path.name)}{more}", folder, path)


def _images_of(path: Path) -> Path:
    """Return the folder of images that a file's name and place point to."""
    beside = path.parent
    root = beside.parent if beside.name == "annotations" else beside
    tail = path.stem.removeprefix("instances").strip("_-.")
    names = [tail, f"images/{tail}"] if tail else []
    split = split_of(path.stem)
    names += [split, f"images/{split}"] if split else []
    for candidate in [*(root / name for name in names), root / "images", beside / "images"]:
        if candidate.is_dir():
            return candidate
    return beside if image_names(beside) else root


def read(source: Source, findings: Findings) -> Labelled:
    """Read the file; boxes stand as they are written."""
    if source.annotations is None:
        raise ConfigError(f"found no instances file for {source.images}, expected one", code=CODE)
    path = source.annotations
    instances = _decode(read_bytes(path), path)
    if any(category.keypoints for category in instances.categories):
        raise UnsupportedError(
            f"{shown(str(path))}: found keypoints: pose is not supported yet; supported: detect, classify",
            code="dataset.task",
        )
    if not instances.images:
        raise ConfigError(f"{shown(str(path))}: found no images, expected at least one", code=CODE)
    names, ids = _classes(instances, findings)
    labels = _labels(instances, {number: index for index, number in enumerate(ids)}, path.name, findings)
    return Labelled(source, _entries(instances, labels, source.images, findings), names, ids, task="detect")


def _decode(data: bytes, path: Path) -> _Instances:
    place = shown(str(path))
    try:
        return _decoder.decode(decode(data, path) if not data.startswith(b"{") else data)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: not COCO instances: {error}", code=CODE) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _decode_python(data, path, error)
    except RecursionError as error:
        raise ConfigError(f"{place}: nested too deeply for COCO instances", code=CODE) from error


def _decode_python(data: bytes, path: Path, reason: Exception) -> _Instances:
    """Decode what only Python's own reader takes: the NaN and Infinity that its writer leaves in files."""
    place = shown(str(path))
    if b"NaN" not in data and b"Infinity" not in data:
        raise ConfigError(f"{place}: not JSON: {reason}", code=CODE) from reason
    try:
        return msgspec.convert(json.loads(decode(data, path)), _Instances)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: not COCO instances: {error}", code=CODE) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{place}: not JSON: {error}", code=CODE) from error


def _classes(instances: _Instances, findings: Findings) -> tuple[list[str], list[int]]:
    """Return names and ids of the categories, by id; one that is named twice counts where it is used."""
    used = {annotation.category_id for annotation in instances.annotations}
    twice = {name for name, count in Counter(each.name for each in instances.categories).items() if count > 1}
    # Roboflow's files begin with a category of the project's name, which nothing is labelled with.
    kept = [each for each in instances.categories if each.name not in twice or each.id in used]
    for what in ("name", "id"):
        counts = Counter(getattr(each, what) for each in kept)
        findings.add(
            "dataset.class-twice", *(f"{what} {one!r}" for one, count in counts.items() if count > 1)
        )
    kept.sort(key=lambda each: each.id)
    return [each.name for each in kept], [each.id for each in kept]


def _labels(
    instances: _Instances, classes: dict[int, int], file: str, findings: Findings
) -> dict[int, list[Label]]:
    labels: dict[int, list[Label]] = {image.id: [] for image in instances.images}
    for number, each in enumerate(instances.annotations):
        place = f"{file}: annotations[{number}]"
        of_image = labels.get(each.image_id)
        index = classes.get(each.category_id) if each.category_id is not None else None
        if of_image is None:
            findings.add("dataset.label-orphan", f"{place}: image_id {each.image_id}")
        elif index is None:
            findings.add("dataset.class-unknown", f"{place}: category_id {each.category_id}")
        else:
            box = _box(each.bbox, place)
            of_image.append(Label(index, place, box, each.area, bool(each.iscrowd)))
    return labels


def _box(numbers: list[float] | None, place: str) -> Box:
    if numbers is None or len(numbers) != _COORDINATES:
        found = "no bbox" if numbers is None else f"a bbox of {len(numbers)} numbers"
        raise ConfigError(f"{place}: found {found}, expected x, y, width, height", code=CODE)
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _entries(
    instances: _Instances, labels: dict[int, list[Label]], folder: Path, findings: Findings
) -> list[Entry]:
    images = ImageFolder(folder)
    licences = _licences(instances.licenses)
    counts = Counter(image.id for image in instances.images)
    findings.add("dataset.image-id-twice", *(f"id {one}" for one, count in counts.items() if count > 1))
    entries = []
    for image in instances.images:
        if not is_safe(image.file_name):
            findings.add("dataset.image-name", f"image {image.id}: {image.file_name!r}")
            continue
        path = images.find(image.file_name)
        if path is None:
            findings.add(
                "dataset.image-missing", f"{folder / image.file_name}{images.nearest(image.file_name)}"
            )
            continue
        stated = stated_size(image.width, image.height)
        credit = ", ".join(filter(None, (_text(image.flickr_url), licences.get(_key(image.license)))))
        entries.append(Entry(image.id, _relative(path, folder), path, labels[image.id], stated, credit))
    listed = {entry.name for entry in entries}
    findings.add("dataset.image-unlisted", *(name for name in images.names if name not in listed))
    return sorted(entries, key=lambda entry: entry.id)


def _licences(stated: object) -> dict[str, str]:
    """Return the names of licences by their ids; what is not told as COCO tells it is passed over."""
    told = [each for each in stated if isinstance(each, dict)] if isinstance(stated, list) else []
    return {_key(each.get("id")): _text(each.get("name")) for each in told}


def _key(number: object) -> str:
    return "" if number is None else str(number)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
