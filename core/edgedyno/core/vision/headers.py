"""What an image file's first bytes state: its size, and whether the file ends too early. Nothing is decoded.

Sources: PNG (W3C), JPEG (ITU T.81), WebP (RFC 9649), BMP (Windows' BITMAPINFOHEADER), TIFF 6.0, GIF89a.
"""

from __future__ import annotations

import struct

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
# Start-of-frame markers of T.81 table B.1; C4, C8 and CC mean other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_SHORT = 3


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height as the header states them; None where it is cut off or of another format."""
    try:
        for magic, read in _READERS:
            if data.startswith(magic):
                return read(data)
    except (struct.error, IndexError):
        return None
    return None


def is_truncated(data: bytes) -> bool:
    """Tell whether a file lacks its end; decoders fill the rest with grey and say nothing.

    In a JPEG's coded data 0xFF is always followed by 0, so the last start of scan is the real one.
    """
    if data.startswith(JPEG):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    if data.startswith(PNG):
        return _png_ends_early(data)
    if data.startswith(b"RIFF") and len(data) >= 8:  # noqa: PLR2004 - name and length of the outermost chunk
        return len(data) < 8 + int(struct.unpack_from("<I", data, 4)[0])
    return data.startswith(b"BM") and len(data) >= 6 and len(data) < int(struct.unpack_from("<I", data, 2)[0])  # noqa: PLR2004


def _png_ends_early(data: bytes) -> bool:
    """Follow the chunks to the last one. OpenCV makes room for what a chunk says of itself: 2 GiB for 68 bytes."""
    at = len(PNG)
    while at + 12 <= len(data):  # a chunk's length, name and checksum
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return False
        at += 12 + int(length)
    return True


def _png(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 - every marker begins so
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:  # noqa: PLR2004 - fill byte
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"WEBPVP8L":
        bits = int(struct.unpack_from("<I", data, 21)[0])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"WEBPVP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return None


def _bmp(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # noqa: PLR2004 - the header of OS/2
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height is a picture from the top down


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _tiff(data: bytes) -> tuple[int, int] | None:
    order = "<" if data.startswith(b"II") else ">"
    start = struct.unpack_from(order + "I", data, 4)[0]
    found: dict[int, int] = {}
    for index in range(struct.unpack_from(order + "H", data, start)[0]):
        tag, kind = struct.unpack_from(order + "HH", data, start + 2 + 12 * index)
        form = "H" if kind == _TIFF_SHORT else "I"
        found[tag] = struct.unpack_from(order + form, data, start + 10 + 12 * index)[0]
    if _TIFF_WIDTH not in found or _TIFF_HEIGHT not in found:
        return None
    return found[_TIFF_WIDTH], found[_TIFF_HEIGHT]


_READERS = (
    (PNG, _png),
    (JPEG, _jpeg),
    (b"RIFF", _webp),
    (b"BM", _bmp),
    (b"GIF8", _gif),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
)
