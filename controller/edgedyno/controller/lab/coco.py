"""COCO instances JSON, as far as boxes are concerned."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edgedyno.core.errors import ConfigError


class CocoImage(Struct, frozen=True):
    """One image of the data set."""

    id: int
    file_name: str


class CocoBox(Struct, frozen=True):
    """One labelled box: x, y, width, height in pixels. A crowd box absorbs detections."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int = 0


class CocoCategory(Struct, frozen=True):
    """A class and its id, which need not be its position."""

    id: int
    name: str


class CocoInstances(Struct, frozen=True):
    """Images, boxes and categories; segmentations and the rest are passed over."""

    images: list[CocoImage]
    annotations: list[CocoBox]
    categories: list[CocoCategory]


_decoder = msgspec.json.Decoder(CocoInstances)


def decode_instances(data: bytes, *, file: str) -> CocoInstances:
    """Decode an instances file. Raises ConfigError (dataset.annotations) naming what it lacks."""
    try:
        instances = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: not COCO instances: {error}", code="dataset.annotations") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not JSON: {error}", code="dataset.annotations") from error
    if not instances.images:
        raise ConfigError(f"{file}: found no images, expected at least one", code="dataset.annotations")
    return instances


def category_ids(instances: CocoInstances, class_names: list[str]) -> list[int | None]:
    """Return for each class the id of the category of the same name; None for a class that is not labelled.

    Raises ConfigError (dataset.classes) when no class is.
    """
    by_name = {category.name: category.id for category in instances.categories}
    ids = [by_name.get(name) for name in class_names]
    if not any(category is not None for category in ids):
        raise ConfigError(
            f"none of the model's classes ({', '.join(class_names[:3])}, …) is a category of the data set "
            f"({', '.join(list(by_name)[:3])}, …)",
            code="dataset.classes",
        )
    return ids
