"""Image files to pixels. What is broken, tiny or huge is refused before it can cost memory or mislead."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SIDE_PIXELS = 2
# 64 Mi pixels are 192 MiB once decoded, which a board with 512 MB can still hold.
MAX_PIXELS = 64 * 2**20

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start-of-frame markers of T.81 table B.1; C4, C8 and CC mean other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


def read_pixels(data: bytes) -> NDArray[np.uint8]:
    """Decode an image file into upright 8-bit BGR pixels.

    EXIF orientation is applied, as annotation tools and viewers do; grey becomes three equal channels,
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
            f"found an image of {width}x{height} pixels, expected at most {MAX_PIXELS} in all",
            code="image.too-large",
        )


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height as a PNG's or JPEG's header states them; None for other formats."""
    if data.startswith(_PNG) and len(data) >= 24:  # noqa: PLR2004 - the end of IHDR's two sizes
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - every marker begins so
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if marker == 0xFF:  # noqa: PLR2004 - fill byte
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None


def is_truncated(data: bytes) -> bool:
    """Tell whether a JPEG or PNG lacks its end; the decoder would fill the rest with grey and say nothing.

    In a JPEG's coded data 0xFF is always followed by 0, so the last start of scan is the real one.
    """
    if data.startswith(_JPEG):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data.startswith(_PNG) and b"IEND" not in data[-4096:]
