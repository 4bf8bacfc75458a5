"""The images, labels and calibration images of a data set profile: found, checked and put into the store."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.lab.coco import category_ids, decode_instances
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import ArtifactRef, Image

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.controller.lab.files import ContentStore
    from edgedyno.core.profile import DatasetProfile

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_SHOWN = 3


class ResolvedDataset(Struct, frozen=True):
    """What a job needs of a data set."""

    images: list[Image]
    annotations: ArtifactRef | None
    calibration: list[ArtifactRef]


def resolve_dataset(
    profile: DatasetProfile, class_names: list[str], *, base: Path, store: ContentStore
) -> ResolvedDataset:
    """Put the files of `profile` into the store; its paths are relative to `base`.

    Without annotations every image of the folder counts. Raises ConfigError: dataset.images,
    dataset.annotations, dataset.classes, dataset.calibration.
    """
    folder = base / profile.images
    if not folder.is_dir():
        raise ConfigError(
            f"data set {profile.name!r}: found no folder {folder}, expected its images", code="dataset.images"
        )
    annotations = _read_annotations(profile, base)
    listed = _listed_images(profile, annotations, class_names, folder)
    _check_files([path for _, path in listed], what=f"data set {profile.name!r}", code="dataset.images")
    return ResolvedDataset(
        images=[Image(number, store.add_file(path)) for number, path in listed],
        annotations=store.add_bytes(annotations, name=str(profile.annotations)) if annotations else None,
        calibration=_calibration(profile, base, store),
    )


def _read_annotations(profile: DatasetProfile, base: Path) -> bytes | None:
    if profile.annotations is None:
        return None
    path = base / profile.annotations
    if not path.is_file():
        raise ConfigError(
            f"data set {profile.name!r}: found no file {path}, expected its annotations (leave the "
            "key out for a data set without labels)",
            code="dataset.annotations",
        )
    data = path.read_bytes()
    if not data.strip():
        raise ConfigError(f"{path}: found no content, expected annotations", code="dataset.annotations")
    return data


def _listed_images(
    profile: DatasetProfile, annotations: bytes | None, class_names: list[str], folder: Path
) -> list[tuple[int, Path]]:
    """Return id and path of each image, in the order of the annotations, or by name without them."""
    if annotations is None:
        return list(enumerate(image_files(folder, what=f"data set {profile.name!r}", code="dataset.images")))
    if profile.task == "classify":
        labels = read_labels(annotations, file=str(profile.annotations))
        return [(number, folder / name) for number, (name, _) in enumerate(labels)]
    instances = decode_instances(annotations, file=str(profile.annotations))
    category_ids(instances, class_names)
    return [(image.id, folder / image.file_name) for image in instances.images]


def read_labels(data: bytes, *, file: str) -> list[tuple[str, int]]:
    """Return file name and class index of each row of a `file,class_index` CSV.

    Further columns are passed over. Raises ConfigError (dataset.annotations) naming the
    line of the first row that is not so.
    """
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file}: not CSV: {error}", code="dataset.annotations") from error
    labels: list[tuple[str, int]] = []
    for line, row in enumerate(rows, start=1):
        is_header = line == 1 and len(row) > 1 and not row[1].strip().isdigit()
        if not row or is_header:
            continue
        if len(row) < 2 or not row[1].strip().isdigit():  # noqa: PLR2004 - file and class
            raise ConfigError(
                f"{file}:{line}: found {','.join(row)!r}, expected `file,class_index`",
                code="dataset.annotations",
            )
        labels.append((row[0].strip(), int(row[1])))
    if not labels:
        raise ConfigError(f"{file}: found no rows, expected `file,class_index`", code="dataset.annotations")
    return labels


def image_files(folder: Path, *, what: str, code: str) -> list[Path]:
    """Return the images in a folder, by name. Raises ConfigError with `code` when there are none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise ConfigError(
            f"{what}: found no images in {folder}, expected {', '.join(sorted(IMAGE_SUFFIXES))}", code=code
        )
    return found


def _calibration(profile: DatasetProfile, base: Path, store: ContentStore) -> list[ArtifactRef]:
    if profile.calibration is None:
        return []
    folder, what = base / profile.calibration, f"calibration of {profile.name!r}"
    if not folder.is_dir():
        raise ConfigError(f"{what}: found no folder {folder}, expected images", code="dataset.calibration")
    files = image_files(folder, what=what, code="dataset.calibration")
    _check_files(files, what=what, code="dataset.calibration")
    return [store.add_file(path) for path in files]


def _check_files(paths: list[Path], *, what: str, code: str) -> None:
    """Refuse missing and empty files, all at once; whether an image decodes is found when it is used."""
    missing = [path for path in paths if not path.is_file()]
    empty = [path for path in paths if path.is_file() and not path.stat().st_size]
    for word, bad in (("missing", missing), ("empty (0 bytes)", empty)):
        if bad:
            names = ", ".join(str(path) for path in bad[:_SHOWN])
            more = ", …" if len(bad) > _SHOWN else ""
            raise ConfigError(
                f"{what}: {len(bad)} of {len(paths)} images are {word}: {names}{more}", code=code
            )
