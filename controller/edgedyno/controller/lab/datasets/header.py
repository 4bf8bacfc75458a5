"""What an image file says of itself in its header, and its hash; nothing is decoded."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from msgspec import Struct
from PIL import (
    BmpImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from edgedyno.core.vision.headers import is_truncated
from edgedyno.core.vision.image import MAX_PIXELS, MIN_SIDE_PIXELS

if TYPE_CHECKING:
    from pathlib import Path

# Only headers are read, so an image of any size costs nothing here; one that is too large is reported.
Image.MAX_IMAGE_PIXELS = None
# Importing a plugin is what makes its format known; JPEG's knows the several pictures of a phone's (MPO) as well.
_FORMATS = [
    JpegImagePlugin.JpegImageFile.format,
    PngImagePlugin.PngImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
    BmpImagePlugin.BmpImageFile.format,
    TiffImagePlugin.TiffImageFile.format,
]
_ORIENTATION = 0x0112  # EXIF 2.3, table 4
_QUARTER_TURNS = frozenset({5, 6, 7, 8})


class ImageFacts(Struct, frozen=True):
    """An image file's hash, size, and what is wrong with it."""

    sha256: str
    size_bytes: int
    size: tuple[int, int] | None = None
    """Width and height once it is turned upright."""
    orientation: int = 1
    problem: str | None = None

    @property
    def lying(self) -> tuple[int, int] | None:
        """Width and height as the pixels are stored."""
        turned = self.orientation in _QUARTER_TURNS and self.size is not None
        return self.size[::-1] if turned and self.size else self.size


def read_facts(path: Path) -> ImageFacts:
    """Read one image file. Raises OSError when it cannot be read."""
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if not data:
        return ImageFacts(sha256, 0, problem="0 bytes")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            lying = image.size
            orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a damaged header raises anything, and all of it means the same
        return ImageFacts(sha256, len(data), problem=f"begins with {data[:8]!r}, no image")
    if not isinstance(orientation, int) or not 1 <= orientation <= max(_QUARTER_TURNS):
        orientation = 1
    size = lying[::-1] if orientation in _QUARTER_TURNS else lying
    return ImageFacts(sha256, len(data), size, orientation, _problem(data, lying))


def _problem(data: bytes, size: tuple[int, int]) -> str | None:
    width, height = size
    if min(size) < MIN_SIDE_PIXELS:
        return f"{width}x{height} pixels, expected at least {MIN_SIDE_PIXELS} on each side"
    if width * height > MAX_PIXELS:
        return f"{width}x{height} pixels, expected at most {MAX_PIXELS}"
    return "ends too early" if is_truncated(data) else None
