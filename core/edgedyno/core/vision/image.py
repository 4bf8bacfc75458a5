"""Image files to pixels. What is broken, tiny or huge is refused before it can cost memory or mislead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edgedyno.core.errors import ConfigError
from edgedyno.core.vision.headers import is_truncated, stated_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SIDE_PIXELS = 2
# 64 Mi pixels are 192 MiB once decoded, which a board with 512 MB can still hold.
MAX_PIXELS = 64 * 2**20


def read_pixels(data: bytes) -> NDArray[np.uint8]:
    """Decode an image file into upright 8-bit BGR pixels.

    EXIF orientation is applied, as annotation tools and viewers do and as cv2.imread does, with which the models'
    own code reads COCO (whose files have none); grey becomes three equal channels,
    16 bits become 8, CMYK is converted and transparency dropped. Raises ConfigError with code
    image.undecodable, image.truncated, image.too-small or image.too-large.
    """
    if not data:
        raise ConfigError("found an image of 0 bytes, expected an image file", code="image.undecodable")
    _check_size(*(stated_size(data) or (MIN_SIDE_PIXELS, MIN_SIDE_PIXELS)))
    if is_truncated(data):
        raise ConfigError(f"found an image that ends too early ({len(data)} bytes)", code="image.truncated")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ConfigError(f"the image does not decode: {error.err}", code="image.undecodable") from error
    if pixels is None:
        raise ConfigError(
            f"found {len(data)} bytes that begin with {data[:8]!r}, expected a JPEG, PNG, WebP or BMP image",
            code="image.undecodable",
        )
    _check_size(pixels.shape[1], pixels.shape[0])
    return np.asarray(pixels, dtype=np.uint8)


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PIXELS:
        raise ConfigError(
            f"found an image of {width}x{height} pixels, expected at least {MIN_SIDE_PIXELS} on each side",
            code="image.too-small",
        )
    if width * height > MAX_PIXELS:
        raise ConfigError(
            f"found an image of {width}x{height} pixels, expected at most {MAX_PIXELS} in all "
            f"({MAX_PIXELS * 3 >> 20} MiB of memory once decoded)",
            code="image.too-large",
        )
