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


def png_that_claims(width: int, height: int) -> bytes:
    """Return a small PNG whose header states a size of its own."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an EXIF block that states an orientation."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]
