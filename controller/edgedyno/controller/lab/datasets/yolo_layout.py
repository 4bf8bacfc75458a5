"""Where a YOLO data set keeps images, labels and names: a data.yaml, images/ and labels/ side by side, or together.

Known are the layouts that Ultralytics' and Roboflow's tools write, and Darknet's of one folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgedyno.controller.lab.datasets.base import Source
from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.controller.lab.datasets.folder import (
    ImageFolder,
    files_of,
    image_names,
    is_image,
    is_safe,
    subfolders,
)
from edgedyno.controller.lab.datasets.splits import PREFERRED, prefer, split_of
from edgedyno.controller.lab.datasets.text import CODE, read_text
from edgedyno.core.document import read_plain
from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from edgedyno.controller.lab.datasets.findings import Findings

NAME = "yolo"
_YAMLS = (".yaml", ".yml")
_NAMES = ("classes.txt", "obj.names", "_darknet.labels")
_NO_LABELS = frozenset({*_NAMES, "readme.txt", "train.txt", "val.txt", "test.txt", "trainval.txt"})
_NEAR = 3


class Layout(Struct, frozen=True):
    """Every image with its label file, where it has one."""

    images: list[tuple[str, Path, Path | None]]
    names: list[str] | None
    orphans: list[str]


def find(folder: Path) -> list[Source]:
    """Return what is there: by a data.yaml, or else by label files."""
    yamls = [path for suffix in _YAMLS for path in files_of(folder, suffix) if _plain(path) is not None]
    if yamls:
        return [Source(NAME, f"YOLO labels, {shown(path.name)}", folder, path) for path in yamls]
    places = {str(place.relative_to(folder)): place for place in _image_folders(folder) if _has_labels(place)}
    chosen = prefer(places) if len(places) > 1 else None
    if chosen is not None:
        return [Source(NAME, f"YOLO labels, {chosen[1]}", chosen[0])]
    return [Source(NAME, f"YOLO labels, {name}", place) for name, place in places.items()]


def source(annotations: Path, images: Path | None) -> Source | None:
    """Return the data set of a data.yaml, or of a folder of label files."""
    if annotations.suffix.lower() in _YAMLS:
        return Source(
            NAME, f"YOLO labels, {shown(annotations.name)}", images or annotations.parent, annotations
        )
    if annotations.is_dir() and images is not None and _text_below(annotations):
        return Source(NAME, f"YOLO labels, {shown(annotations.name)}/", images, annotations)
    return None


def layout_of(source: Source, findings: Findings) -> Layout:
    """Return images, label files and names of a data set."""
    annotations = source.annotations
    if annotations is not None and annotations.suffix.lower() in _YAMLS:
        return _by_yaml(annotations, source.images, findings)
    folder = source.images
    images = [(name, folder / name) for name in ImageFolder(folder).names]
    labels = _Labels(folder, annotations)
    near = [folder, *folder.parents][:_NEAR] + ([annotations] if annotations else [])
    return _layout(images, labels, _names_near(near))


def _by_yaml(path: Path, images: Path, findings: Findings) -> Layout:
    data = _plain(path)
    if data is None:
        raise ConfigError(f"{shown(str(path))}: found no `names`, expected a YOLO data set's YAML", code=CODE)
    if "kpt_shape" in data:
        raise UnsupportedError(
            f"{shown(str(path))}: found `kpt_shape`: pose is not supported yet; supported: detect, classify",
            code="dataset.task",
        )
    names = _names(data["names"], path)
    if images != path.parent:
        found = [(name, images / name) for name in ImageFolder(images).names]
        return _layout(found, _Labels(images, None), names)
    folders = _split(data, path)
    found, labels = [], _Labels(path.parent, None)
    for place in folders:
        found += _listed(place, path.parent, findings) if place.is_file() else _below(place, path.parent)
    return _layout(found, labels, names)


def _layout(images: list[tuple[str, Path]], labels: _Labels, names: list[str] | None) -> Layout:
    found = [(name, path, labels.of(path)) for name, path in sorted(images)]
    known = {label for _, _, label in found if label is not None}
    folders = {label.parent for label in known}
    orphans = [
        path.name
        for folder in sorted(folders)
        for path in files_of(folder, ".txt")
        if path not in known and path.name.lower() not in _NO_LABELS
    ]
    return Layout(found, names, orphans)


def _split(data: dict[str, Any], path: Path) -> list[Path]:
    """Return folders or lists of the images to score with."""
    root = _root(data.get("path"), path.parent)
    for split in PREFERRED:
        entry = data.get(split)
        if entry:
            places = [_place(each, root, path) for each in (entry if isinstance(entry, list) else [entry])]
            missing = [place for place in places if not place.exists()]
            if not missing:
                return places
            raise ConfigError(
                f"{shown(str(path))}: {split}: found nothing at {shown(str(missing[0]))}, expected its images",
                code="dataset.images",
            )
    below = [place for place in _image_folders(path.parent) if _has_labels(place)]
    if len(below) == 1:
        return below
    raise ConfigError(
        f"{shown(str(path))}: found none of the keys {', '.join(PREFERRED)}, expected one with the images",
        code=CODE,
    )


def _root(given: object, beside: Path) -> Path:
    """Return the data set's root; a path of the machine that it was made on means the YAML's own folder."""
    root = beside / given if isinstance(given, str) and "\0" not in given else beside
    return root if root.is_dir() else beside


def _place(entry: object, root: Path, path: Path) -> Path:
    if not isinstance(entry, str) or "\0" in entry:
        raise ConfigError(f"{shown(str(path))}: found {entry!r}, expected a folder of images", code=CODE)
    place = root / entry
    if not place.exists() and entry.startswith("../"):  # as Roboflow writes it, a level too high
        return root / entry.removeprefix("../")
    return place


def _below(folder: Path, root: Path) -> list[tuple[str, Path]]:
    return [(_name(folder / name, root), folder / name) for name in ImageFolder(folder).names]


def _listed(file: Path, root: Path, findings: Findings) -> list[tuple[str, Path]]:
    """Return the images of a list; its lines are relative to the list, or to the data set's root."""
    found = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        entry = line.strip()
        if not entry:
            continue
        place = f"{file.name}:{number}: {entry!r}"
        below = entry.removeprefix(f"{root.absolute()}/")
        if not is_safe(below):
            findings.add("dataset.image-name", place)
            continue
        paths = [base / below.replace("\\", "/") for base in (root, file.parent)]
        there = next((path for path in paths if path.is_file()), None)
        if there is None:
            findings.add("dataset.image-missing", place)
        else:
            found.append((_name(there, root), there))
    return found


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


class _Labels:
    """Finds the label file of an image."""

    def __init__(self, images: Path, labels: Path | None) -> None:
        self._images = images
        self._labels = labels

    def of(self, image: Path) -> Path | None:
        """Return the label file: under the folder given, under labels/ for images/, or beside the image."""
        candidates = [image.with_suffix(".txt")]
        if self._labels is not None:
            candidates = [self._labels / image.relative_to(self._images).with_suffix(".txt")]
        elif "images" in image.parts[:-1]:
            parts = list(image.parts)
            parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
            candidates.insert(0, Path(*parts).with_suffix(".txt"))
        return next((path for path in candidates if path.is_file()), None)


def _image_folders(folder: Path) -> list[Path]:
    """Return the folders that images may lie in: the folder itself, images/, images/val, val/images, val."""
    places = [folder, folder / "images", *subfolders(folder / "images")]
    for sub in subfolders(folder):
        if split_of(sub.name):
            places += [sub / "images", sub]
    return [place for place in dict.fromkeys(places) if image_names(place)]


def _has_labels(folder: Path) -> bool:
    labels = _Labels(folder, None)
    return any(
        (label := labels.of(folder / name)) is not None and label.name.lower() not in _NO_LABELS
        for name in image_names(folder)
        if is_image(name)
    )


def _text_below(folder: Path) -> bool:
    return any(files_of(place, ".txt") for place in (folder, *subfolders(folder)))


def _plain(path: Path) -> dict[str, Any] | None:
    """Return a YAML's content where it is a data set of YOLO's."""
    try:
        data = read_plain(read_text(path), file=str(path))
    except ConfigError:
        return None
    return data if isinstance(data, dict) and isinstance(data.get("names"), (dict, list)) else None


def _names(names: dict[Any, Any] | list[Any], path: Path) -> list[str]:
    if isinstance(names, list):
        return [str(name) for name in names]
    keys = [str(key) for key in names]
    if not all(key.isdecimal() for key in keys) or sorted(map(int, keys)) != list(range(len(keys))):
        raise ConfigError(
            f"{shown(str(path))}: names: found the numbers {', '.join(keys[:5])}, expected 0 to {len(keys) - 1}",
            code=CODE,
        )
    return [str(names[key]) for key in sorted(names, key=lambda key: int(str(key)))]


def _names_near(folders: list[Path]) -> list[str] | None:
    """Return the names of a classes.txt or a data.yaml in one of the folders."""
    for folder in folders:
        for name in _NAMES:
            if (folder / name).is_file():
                return [line.strip() for line in read_text(folder / name).splitlines() if line.strip()]
        for suffix in _YAMLS:
            for path in files_of(folder, suffix):
                data = _plain(path)
                if data is not None:
                    return _names(data["names"], path)
    return None
