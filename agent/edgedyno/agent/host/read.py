"""Read one small file of /proc or /sys: a value, or why there is none. Nothing here raises.

A file that is there and cannot be used is named to `problems`. Not responsible for what a file means.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.host.cpulist import parse_cpu_list
from edgedyno.agent.host.problems import note, note_content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BYTES = 1 << 20  # /proc/cpuinfo of 512 cores is some 400 kB; nothing that is read here is larger.

ABSENT = "absent"
_REASONS = {
    errno.ENOENT: ABSENT,
    errno.ENOTDIR: ABSENT,
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EAGAIN: "not ready (EAGAIN)",
    errno.ENODATA: "no data (ENODATA)",
    errno.ELOOP: "a loop of links (ELOOP)",
    errno.EISDIR: "a folder, expected a file",
}
_replayed: dict[str, str] = {}


class Content(NamedTuple):
    """A file's text, or the reason why it cannot be read."""

    text: str | None
    reason: str | None = None


def read(path: Path | str) -> Content:
    """Read a file as text, without the NULs and blanks around it."""
    data, reason = read_bytes(path)
    if data is None:
        if reason != ABSENT:
            note(path, reason or "cannot be read")
        return Content(None, reason)
    return Content(data.decode("utf-8", "replace").strip("\0 \t\r\n"))


def read_bytes(path: Path | str) -> tuple[bytes | None, str | None]:
    """Return a file's bytes as they are, or None and the reason.

    Uses os.read: on a file that answers EAGAIN (the thermal zones cv0 to cv2 of a Jetson Orin) Python's own
    text layer raises TypeError rather than OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = _reason(error)
        return None, _replayed.get(str(path), reason) if reason == ABSENT else reason
    try:
        return _read_all(descriptor), None
    except OSError as error:
        return None, _reason(error)
    finally:
        os.close(descriptor)


def replay_failures(failures: Mapping[str, str]) -> None:
    """Have these absent files of a recorded board fail with the reason they failed with on the board."""
    _replayed.update(failures)


def _read_all(descriptor: int) -> bytes:
    parts = []
    size = 0
    while size < MAX_BYTES and (part := os.read(descriptor, 65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _reason(error: OSError | ValueError) -> str:
    code = getattr(error, "errno", None)
    if code is None:
        return str(error)
    return _REASONS.get(code) or getattr(error, "strerror", None) or str(error)


def read_text(path: Path | str) -> str | None:
    """Return a file's text; None where it cannot be read or is empty."""
    return read(path).text or None


def read_float(path: Path | str) -> float | None:
    """Return the first number in a file (`32760 ma` gives 32760.0); None where there is none."""
    text = read(path).text
    value = first_float(text)
    if value is None and text is not None:
        note_content(path, text, "a number")
    return value


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
    text = read(path).text
    words = (text or "").split(None, 1)
    try:
        return int(words[0], 0 if words[0].lower().startswith(("0x", "-0x")) else 10)
    except (ValueError, IndexError):
        if text is not None:
            note_content(path, text, "a whole number")
        return None


def read_cpu_list(path: Path | str) -> list[int] | None:
    """Return the CPUs that a file lists; None where it is absent, empty or no list."""
    text = read(path).text
    cpus = parse_cpu_list(text)
    if cpus is None and text:
        note_content(path, text, "a list of CPUs such as 0-3")
    return cpus


def is_there(path: Path | str) -> bool:
    """Tell whether a path exists; pathlib's own test raises where a folder above may not be searched."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path | str) -> bool:
    """Tell whether a path is a folder; never raises."""
    return os.path.isdir(path)  # noqa: PTH112


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
