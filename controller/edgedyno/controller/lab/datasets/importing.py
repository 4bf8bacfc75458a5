"""A job's data set: examined, refused where it cannot be used, and put into the store in the form scoring reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.datasets.findings import Finding, refuse
from edgedyno.controller.lab.datasets.folder import SUFFIXES, image_names
from edgedyno.controller.lab.datasets.formats import READERS
from edgedyno.controller.lab.datasets.normal import as_coco, as_csv
from edgedyno.controller.lab.datasets.survey import Examined, examine_dataset, nothing
from edgedyno.controller.lab.profiles import Found, find_profile, packaged
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import ArtifactRef, Image
from edgedyno.core.profile import DatasetProfile, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedyno.controller.lab.datasets.base import Entry
    from edgedyno.controller.lab.files import ContentStore

_SHOWN = 3
_NOT_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_YAMLS = (".yaml", ".yml")


class ResolvedDataset(Struct, frozen=True):
    """What a job needs of a data set."""

    images: list[Image]
    annotations: ArtifactRef | None
    calibration: list[ArtifactRef]
    findings: list[Finding] = []


def find_dataset(wanted: str | DatasetProfile, *, base: Path, task: Task | None) -> Found[DatasetProfile]:
    """Return the profile that a job means: by name, written out, by a profile's path, or of a folder or label file.

    `task` is that of the model; a folder says nothing of it. Raises ConfigError as `find_profile`.
    """
    if isinstance(wanted, str) and "/" in wanted and "\0" not in wanted and not (base / wanted).exists():
        raise ConfigError(
            f"found data set {wanted!r}, expected a folder of labelled images, an annotations file or a profile: "
            f"there is nothing at {base / wanted}",
            code="profile.unknown",
        )
    if not isinstance(wanted, str) or "\0" in wanted or not _is_data(wanted, base):
        return find_profile(wanted, DatasetProfile, base=base)
    path = base / wanted
    named = path.resolve()
    stem = named.stem if named.is_file() and named.suffix not in _YAMLS else named.name
    if named.suffix in _YAMLS:
        stem = named.parent.name
    name = _NOT_NAME.sub("-", stem).strip("-._")[:64] or "dataset"
    profile = DatasetProfile(name=name, task=task or "detect", images=wanted)
    return Found(profile, base, str(path))


def _is_data(wanted: str, base: Path) -> bool:
    """Tell whether a job's words are a path of the data itself, not of a profile, nor the name of one of ours."""
    path = base / wanted
    if path.is_dir():
        return "/" in wanted or wanted == "." or not (packaged("datasets") / f"{wanted}.yaml").is_file()
    if path.suffix.lower() in _YAMLS:
        return path.is_file() and bool(READERS["yolo"].find(path.parent)) and _has_names(path)
    return path.is_file() and path.suffix.lower() in (".json", ".csv", ".tsv", ".xml", ".txt")


def _has_names(path: Path) -> bool:
    return any(source.annotations == path for source in READERS["yolo"].find(path.parent))


def resolve_dataset(
    profile: DatasetProfile,
    class_names: list[str],
    *,
    base: Path,
    store: ContentStore,
    progress: Callable[[int, int], None] = nothing,
) -> ResolvedDataset:
    """Put the files of `profile` into the store; its paths are relative to `base`.

    Without annotations every image counts. Raises ConfigError with the code of the first error found in the data
    set, as `examine_dataset` does, and dataset.calibration.
    """
    examined = examine_dataset(profile, class_names, base=base, task=profile.task, progress=progress)
    refuse(examined.findings, f"data set {profile.name!r}")
    store.add_files((examined.facts[entry.name].sha256, entry.path) for entry in examined.entries)
    return ResolvedDataset(
        images=[_image(entry, examined) for entry in examined.entries],
        annotations=_annotations(examined, profile, store),
        calibration=_calibration(profile, base, store),
        findings=examined.findings,
    )


def _image(entry: Entry, examined: Examined) -> Image:
    facts = examined.facts[entry.name]
    return Image(entry.id, ArtifactRef(facts.sha256, facts.size_bytes, entry.name))


def _annotations(examined: Examined, profile: DatasetProfile, store: ContentStore) -> ArtifactRef | None:
    if examined.task is None:
        return None
    write = {"detect": as_coco, "classify": as_csv}[examined.task]
    return store.add_bytes(
        write(examined.entries, examined.classes), name=profile.annotations or profile.name
    )


def _calibration(profile: DatasetProfile, base: Path, store: ContentStore) -> list[ArtifactRef]:
    if profile.calibration is None:
        return []
    folder, what = base / profile.calibration, f"calibration of {profile.name!r}"
    if not folder.is_dir():
        raise ConfigError(f"{what}: found no folder {folder}, expected images", code="dataset.calibration")
    files = [folder / name for name in image_names(folder)]
    if not files:
        raise ConfigError(
            f"{what}: found no images in {folder}, expected {', '.join(sorted(SUFFIXES))}",
            code="dataset.calibration",
        )
    _refuse_unusable(files, what)
    return [store.add_file(path) for path in files]


def _refuse_unusable(paths: list[Path], what: str) -> None:
    """Refuse links that lead nowhere and empty files, all at once."""
    missing = [path for path in paths if not path.is_file()]
    empty = [path for path in paths if path.is_file() and not path.stat().st_size]
    for word, bad in (("missing", missing), ("empty (0 bytes)", empty)):
        if bad:
            names = ", ".join(str(path) for path in bad[:_SHOWN])
            more = ", …" if len(bad) > _SHOWN else ""
            raise ConfigError(
                f"{what}: {len(bad)} of {len(paths)} images are {word}: {names}{more}",
                code="dataset.calibration",
            )
