"""Durable writing of keys and certificates: a reader finds the old or the new file, a stranger none."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644


def write_file(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a file as a whole; it never exists with more rights than `mode`."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def write_changed(path: Path, data: bytes, *, mode: int) -> bool:
    """Write a file unless it has this content already; return whether it was written."""
    if path.is_file() and path.read_bytes() == data:
        return False
    write_file(path, data, mode=mode)
    return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, for its owner only, and keep other processes out of this block."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
