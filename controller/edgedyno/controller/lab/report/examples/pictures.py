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
# Of the image's width, which every panel is scaled to.
TEXT_SHARE = 1 / 20
# Of the text's size, for a usual letter.
LETTER_SHARE = 0.62


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
    size = thumbnail.width * TEXT_SHARE
    taken: list[_Span] = []
    # What changed gets its label first; one that would cover another is left to the box's tooltip.
    order = sorted(marks, key=lambda mark: (mark.kind == "kept", -mark.detection.score))
    drawn = [_box(mark, names, size, thumbnail, taken) for mark in order]
    boxes = Markup("").join(reversed(drawn))
    return Markup(
        '<svg class="photo" role="img" viewBox="0 0 {w} {h}" aria-label="{words}">'
        '<use href="#{key}"/><g font-size="{size:.1f}">{boxes}</g></svg>'
    ).format(w=thumbnail.width, h=thumbnail.height, words=words, key=image_key, size=size, boxes=boxes)


class _Span(NamedTuple):
    left: float
    right: float
    baseline: float
    from_right: bool
    """Whether the label ends at `right`: how long it is depends on the reader's font."""


def _box(mark: Mark, names: Sequence[str], size: float, thumbnail: Thumbnail, taken: list[_Span]) -> Markup:
    x, y, width, height = box_of(mark.detection)
    label = label_of(mark, names)
    span = _place(x, y, len(label) * size * LETTER_SHARE, size, thumbnail)
    text = Markup("")
    if not any(_collide(span, other, size) for other in taken):
        taken.append(span)
        text = Markup('<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{label}</text>').format(
            x=span.right if span.from_right else span.left,
            y=span.baseline,
            anchor="end" if span.from_right else "start",
            label=label,
        )
    return Markup(
        '<g class="{kind}"><title>{label}</title>'
        '<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>{text}</g>'
    ).format(kind=mark.kind, x=x, y=y, w=width, h=height, label=label, text=text)


def _place(x: float, y: float, length: float, size: float, thumbnail: Thumbnail) -> _Span:
    """Put a label above its box, within it at the image's upper edge, and never beyond the right edge."""
    baseline = y - size * 0.3 if y > size * 1.2 else max(y, 0.0) + size
    left, edge = max(0.0, x) + size * 0.15, thumbnail.width - size * 0.15
    if left + length > edge:
        return _Span(edge - length, edge, baseline, from_right=True)
    return _Span(left, left + length, baseline, from_right=False)


def _collide(one: _Span, other: _Span, size: float) -> bool:
    return (
        one.left < other.right and other.left < one.right and abs(one.baseline - other.baseline) < size * 1.05
    )


def label_of(mark: Mark, names: Sequence[str]) -> str:
    """Write class and score."""
    return f"{name_of(mark.detection.class_index, names)} {mark.detection.score:.2f}"


def name_of(index: int, names: Sequence[str]) -> str:
    """Return a class's name, or its number where it has none."""
    return names[index] if 0 <= index < len(names) else str(index)
