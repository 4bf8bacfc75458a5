"""Read one small file of /proc or /sys: a value, or why there is none. Nothing here raises.

Not responsible for what a file means.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 20  # /proc/cpuinfo of 512 cores is some 400 kB; nothing that is read here is larger.

_REASONS = {
    errno.ENOENT: "absent",
    errno.ENOTDIR: "absent",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EAGAIN: "not ready (EAGAIN)",
    errno.ENODATA: "no data (ENODATA)",
}


class Content(NamedTuple):
    """A file's text, or the reason why it cannot be read."""

    text: str | None
    reason: str | None = None


def read(path: Path | str) -> Content:
    """Read a file as text, without the NULs and blanks around it.

    Uses os.read: on a file that answers EAGAIN (the thermal zones cv0 to cv2 of a Jetson Orin) Python's own
    text layer raises TypeError rather than OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        return Content(None, _reason(error))
    try:
        data = _read_all(descriptor)
    except OSError as error:
        return Content(None, _reason(error))
    finally:
        os.close(descriptor)
    return Content(data.decode("utf-8", "replace").strip("\0 \t\r\n"))


def _read_all(descriptor: int) -> bytes:
    parts = []
    size = 0
    while size < MAX_BYTES and (part := os.read(descriptor, 65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _reason(error: OSError | ValueError) -> str:
    code = getattr(error, "errno", None)
    return _REASONS.get(code, str(error)) if code is not None else str(error)


def read_text(path: Path | str) -> str | None:
    """Return a file's text; None where it cannot be read or is empty."""
    return read(path).text or None


def read_float(path: Path | str) -> float | None:
    """Return the first number in a file (`32760 ma` gives 32760.0); None where there is none."""
    return first_float(read(path).text)


def first_float(text: str | None) -> float | None:
    """Return the number that `text` begins with, or None."""
    words = (text or "").split(None, 1)
    try:
        value = float(words[0])
    except (ValueError, IndexError):
        return None
    return value if abs(value) != float("inf") and value == value else None  # noqa: PLR0124  (NaN)


def read_int(path: Path | str) -> int | None:
    """Return a whole number, decimal or with 0x; None where there is none."""
    words = (read(path).text or "").split(None, 1)
    try:
        return int(words[0], 0 if words[0].lower().startswith(("0x", "-0x")) else 10)
    except (ValueError, IndexError):
        return None


def entries(folder: Path | str) -> list[str]:
    """Return the names in a folder, numbers in their order; empty where it cannot be listed."""
    try:
        return sorted(os.listdir(folder), key=_natural)  # noqa: PTH208  (names only: a third of the time)
    except OSError:
        return []


def _natural(name: str) -> tuple[str, int, str]:
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return (stem, int(digits) if digits else -1, name)
