"""Image files made on the spot."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np


def encode(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    """Return the bytes of an image file that holds `pixels`."""
    ok, data = cv2.imencode(suffix, pixels)
    assert ok
    return data.tobytes()


def gradient(width: int, height: int) -> np.ndarray:
    """Return BGR pixels that differ everywhere and in every channel."""
    rows, columns = np.mgrid[:height, :width]
    blue, green = columns * 255 // max(1, width - 1), rows * 255 // max(1, height - 1)
    return np.dstack([blue, green, np.full_like(blue, 200)]).astype(np.uint8)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def _png(width: int, height: int, colour_type: int, *chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    return b"".join((b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), *chunks, _chunk(b"IEND", b"")))


def png_that_claims(width: int, height: int) -> bytes:
    """Return a small PNG whose header states a size of its own."""
    return _png(width, height, 2, _chunk(b"IDAT", zlib.compress(b"\0" * 64)))


def palette_png() -> bytes:
    """Return a PNG of 2 x 2 pixels with a palette of RGB 1, 2, 3 and 10, 20, 30, one on each diagonal."""
    rows = b"\0\0\1" + b"\0\1\0"
    palette = _chunk(b"PLTE", bytes([1, 2, 3, 10, 20, 30]))
    return _png(2, 2, 3, palette, _chunk(b"IDAT", zlib.compress(rows)))


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an EXIF block that states an orientation."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]
