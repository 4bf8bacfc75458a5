"""An image of the data set as a small JPEG, and boxes over it as SVG, so that text stays text at any size."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

import cv2
from markupsafe import Markup

from edgedyno.controller.lab.report.examples.changes import box_of
from edgedyno.core.vision.image import read_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.report.examples.changes import Mark

LONGEST_SIDE = 440
QUALITY = 78
# Of the longer side of the image.
TEXT_SHARE = 1 / 24


class Thumbnail(NamedTuple):
    """A downscaled image and the size of the original, whose pixels boxes are in."""

    width: int
    height: int
    data_uri: str


def shrink(data: bytes) -> Thumbnail:
    """Decode an image file and make it small. Raises ConfigError where it cannot be decoded."""
    pixels = read_pixels(data)
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(pixels.dtype)
    _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    text = base64.b64encode(coded.tobytes()).decode("ascii")
    return Thumbnail(width, height, f"data:image/jpeg;base64,{text}")


def define(thumbnail: Thumbnail, key: str) -> Markup:
    """Return the image once, for any number of panels to use."""
    return Markup(
        '<svg class="store" width="0" height="0" aria-hidden="true" focusable="false"><defs>'
        '<image id="{}" width="{}" height="{}" href="{}" preserveAspectRatio="none"/></defs></svg>'
    ).format(key, thumbnail.width, thumbnail.height, thumbnail.data_uri)


def draw_panel(
    thumbnail: Thumbnail, image_key: str, marks: Sequence[Mark], names: Sequence[str], words: str
) -> Markup:
    """Return one panel: the image with its boxes; `words` say the same to who cannot see it."""
    size = max(thumbnail.width, thumbnail.height) * TEXT_SHARE
    boxes = Markup("").join(_box(mark, names, size) for mark in marks)
    return Markup(
        '<svg class="photo" role="img" viewBox="0 0 {w} {h}" aria-label="{words}">'
        '<use href="#{key}"/><g font-size="{size:.1f}">{boxes}</g></svg>'
    ).format(w=thumbnail.width, h=thumbnail.height, words=words, key=image_key, size=size, boxes=boxes)


def _box(mark: Mark, names: Sequence[str], size: float) -> Markup:
    x, y, width, height = box_of(mark.detection)
    # A label above the box, or within it at the image's upper edge.
    baseline = y - size * 0.3 if y > size * 1.2 else y + size
    return Markup(
        '<g class="{kind}"><rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>'
        '<text x="{tx:.1f}" y="{ty:.1f}">{label}</text></g>'
    ).format(
        kind=mark.kind,
        x=x,
        y=y,
        w=width,
        h=height,
        tx=max(x, 0) + size * 0.15,
        ty=baseline,
        label=label_of(mark, names),
    )


def label_of(mark: Mark, names: Sequence[str]) -> str:
    """Write class and score."""
    return f"{name_of(mark.detection.class_index, names)} {mark.detection.score:.2f}"


def name_of(index: int, names: Sequence[str]) -> str:
    """Return a class's name, or its number where it has none."""
    return names[index] if 0 <= index < len(names) else str(index)
