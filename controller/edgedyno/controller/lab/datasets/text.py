"""Label files as text: any line ends, with or without a byte order mark, and a clear error for anything else."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from edgedyno.controller.lab.datasets.findings import shown
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CODE = "dataset.annotations"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_bytes(path: Path) -> bytes:
    """Return a label file's content. Raises ConfigError for one that is not there, or is empty."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"found no file {shown(str(path))}, expected annotations ({reason}); leave the key out for a data "
            "set without labels",
            code=CODE,
        ) from error
    if not data.strip():
        raise ConfigError(f"{shown(str(path))}: found no content, expected annotations", code=CODE)
    return data


def read_text(path: Path) -> str:
    """Return a label file's text. Raises ConfigError as `read_bytes`, and for what is no text."""
    return decode(read_bytes(path), path)


def decode(data: bytes, path: Path) -> str:
    """Decode UTF-8, or UTF-16 with its mark. Raises ConfigError."""
    encoding = "utf-16" if data.startswith(_UTF16) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{shown(str(path))}: found text that is not UTF-8 ({error.reason} at byte {error.start}), "
            "expected UTF-8",
            code=CODE,
        ) from error
    if "\0" in text:
        raise ConfigError(f"{shown(str(path))}: found a zero byte, expected text", code=CODE)
    return text
