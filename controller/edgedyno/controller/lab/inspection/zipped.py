"""Reads members of bundles that others made: what is damaged or would grow beyond measure is a ConfigError."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The largest graph in text that is known has 3 MB; this is for the graph, never for the weights.
MOST_TEXT_BYTES = 64 << 20
# What zipfile raises for bytes that are no zip, or none that it can read.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError,
    OverflowError, struct.error, OSError,
)  # fmt: skip


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a bundle. Raises ConfigError (model.damaged) for whatever is wrong with it while it is read."""
    try:
        with zipfile.ZipFile(path) as bundle:
            yield bundle
    except _DAMAGED as error:
        raise ConfigError(f"{path}: a damaged bundle: {error}", code="model.damaged") from error


def read_text(bundle: zipfile.ZipFile, name: str) -> bytes:
    """Return a graph's text out of a bundle. Raises ConfigError (model.damaged) for one that is far too large."""
    stated_bytes = bundle.getinfo(name).file_size
    if stated_bytes > MOST_TEXT_BYTES:
        text = f"{name}: found {stated_bytes} bytes, expected at most {MOST_TEXT_BYTES}"
        raise ConfigError(text, code="model.damaged")
    return bundle.read(name)
