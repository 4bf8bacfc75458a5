"""The image files below a folder, by their names; what a label's file name may be, and which file it means."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path, PurePosixPath

from edgedyno.core.errors import ConfigError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
# Ten times ImageNet's training set would be a mistake (`/` for `.`), and listing it would take minutes.
MAX_FILES = 15_000_000
_DRIVE = re.compile(r"^[A-Za-z]:")
# Of what labels are written in; another ending counts where the file is called as an image is.
_LABEL_SUFFIXES = frozenset({".json", ".jsonl", ".xml", ".csv", ".tsv", ".txt", ".yaml", ".yml"})
_PAPERS = re.compile(r"^(readme|license|licence|attribution|changelog|notice)\b", re.IGNORECASE)


class ImageFolder:
    """The images below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def names(self) -> list[str]:
        """Names of the images below the folder, relative to it, in order."""
        found = [
            os.path.relpath(os.path.join(place, name), self.root)  # noqa: PTH118 - a Path for each file is slow
            for place, name in _walk(self.root)
            if is_image(name)
        ]
        return sorted(found)

    def may_be_labels(self) -> list[str]:
        """Return the names of files below the folder that look as if they were labels, in order."""
        stems = {Path(name).stem for name in self.names}
        found = [
            Path(place, name).relative_to(self.root)
            for place, name in _walk(self.root)
            if not is_image(name) and not name.startswith(".") and not _PAPERS.match(name)
        ]
        return [
            str(path)
            for path in sorted(found)
            if path.suffix.lower() in _LABEL_SUFFIXES or path.stem in stems
        ]

    @cached_property
    def _by_stem(self) -> dict[str, str]:
        return {os.path.splitext(name)[0]: name for name in reversed(self.names)}  # noqa: PTH122 - as above

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {name.casefold(): name for name in reversed(self.names)}

    def find(self, name: str) -> Path | None:
        """Return the image that a label's safe file name means; Windows' separators are understood."""
        for spelled in dict.fromkeys((name, name.replace("\\", "/"))):
            normal = str(PurePosixPath(spelled))
            if _is_file(self.root / normal):
                return self.root / normal
        return None

    def find_stem(self, stem: str) -> str | None:
        """Return the name of the image that is called so but for its suffix."""
        return self._by_stem.get(stem)

    def nearest(self, name: str) -> str:
        """Return a hint for a name that is not there but for its case."""
        other = self._folded.get(name.replace("\\", "/").casefold())
        return f" (there is {other})" if other else ""


def is_image(name: str) -> bool:
    """Tell whether a file is an image by its suffix."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not os.path.basename(name).startswith("._")  # noqa: PTH119, PTH122 - as above


def is_safe(name: str) -> bool:
    """Tell whether a file name from a label file stays below its folder and can be written down as UTF-8."""
    parts = name.replace("\\", "/").split("/")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return bool(name.strip()) and not (
        name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts or "\0" in name
    )


def image_names(folder: Path) -> list[str]:
    """Return the names of the images directly in a folder, in order."""
    try:
        return sorted(
            entry.name for entry in os.scandir(folder) if is_image(entry.name) and not entry.is_dir()
        )
    except OSError:
        return []


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, by name, without hidden ones."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []
    return [Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir()]


def files_of(folder: Path, suffix: str) -> list[Path]:
    """Return the files directly in a folder whose names end so, by name."""
    try:
        entries = [
            entry for entry in os.scandir(folder) if entry.name.lower().endswith(suffix) and entry.is_file()
        ]
    except OSError:
        return []
    return sorted(Path(entry.path) for entry in entries if not entry.name.startswith("."))


def _walk(root: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(root, followlinks=True):
        mark = os.stat(place)  # noqa: PTH116 - as above
        if (mark.st_dev, mark.st_ino) in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add((mark.st_dev, mark.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [(place, name) for name in names]
        if len(found) > MAX_FILES:
            raise ConfigError(
                f"{root}: found more than {MAX_FILES} files, expected a folder of images",
                code="dataset.images",
            )
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the file system
        return False
