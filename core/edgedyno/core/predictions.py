"""Predictions as a file: written image by image on the board, read whole or image by image by the lab.

A file is a series of gzip members, each of whole lines of JSON: one line with the head, then one for each image.
`zcat` shows it. A file that is still being written has images only; its head, which holds the fingerprint of all
of them, is put in front at the end. What older boards wrote, one JSON object, is read as well.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from edgedyno.core.profile import Sha256
from edgedyno.core.result import ImagePrediction, Predictions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")
FORMAT = "edgedyno-predictions-1"
MEDIA_SUFFIX = ".jsonl.gz"
_MAGIC = b"\x1f\x8b"
# The fastest: most of what is left are the coordinates' last digits, which no level makes smaller.
_LEVEL = 1
_CHUNK_BYTES = 1 << 20
# One image with 8400 candidates of 80 classes, none suppressed, takes 3 MB.
LONGEST_LINE_BYTES = 32 << 20


class PredictionsHead(Struct, frozen=True):
    """The first line: what predicted, on what, and how many images follow."""

    format: str
    variant_sha256: Sha256
    runtime: str
    preparation_sha256: Sha256
    images: int


class PredictionsStream(NamedTuple):
    """A predictions artifact read image by image; `images` can be gone through once."""

    head: PredictionsHead
    images: Iterator[ImagePrediction]


_encode = msgspec.json.Encoder().encode
_whole = msgspec.json.Decoder(Predictions)
_head = msgspec.json.Decoder(PredictionsHead)
_image = msgspec.json.Decoder(ImagePrediction)


def read_predictions(data: bytes) -> Predictions:
    """Return what a predictions artifact says. Raises msgspec.MsgspecError when it is damaged."""
    head, images = stream_predictions(BytesIO(data))
    return Predictions(head.variant_sha256, head.runtime, head.preparation_sha256, list(images))


def stream_predictions(file: IO[bytes]) -> PredictionsStream:
    """Return a predictions artifact's head and its images one by one, in memory for one of them.

    The caller owns `file`, which has to stay open meanwhile. Raises msgspec.MsgspecError when it is damaged, for
    the images while they are read.
    """
    start = file.read(len(_MAGIC))
    file.seek(-len(start), os.SEEK_CUR)
    if start != _MAGIC:
        whole = _decoded(_whole, file.read())
        head = PredictionsHead(
            FORMAT, whole.variant_sha256, whole.runtime, whole.preparation_sha256, len(whole.images)
        )
        return PredictionsStream(head, iter(whole.images))
    lines = _lines(file)
    head = _decoded(_head, next(lines, b""))
    if head.format != FORMAT:
        raise msgspec.ValidationError(f"found predictions of format {head.format!r}, expected {FORMAT!r}")
    return PredictionsStream(head, _images(lines, head.images))


def _decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec's own do not cover these
        raise msgspec.DecodeError(f"the predictions are damaged: {error}") from error


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            while line := unpacked.readline(LONGEST_LINE_BYTES + 1):
                if len(line) > LONGEST_LINE_BYTES:
                    raise msgspec.DecodeError(f"found a line of over {LONGEST_LINE_BYTES} bytes")
                yield line
    except (EOFError, OSError, zlib.error) as error:
        raise msgspec.DecodeError(f"the predictions are damaged: {error}") from error


def _images(lines: Iterator[bytes], expected: int) -> Iterator[ImagePrediction]:
    found = 0
    for found, line in enumerate(lines, start=1):
        if found > expected:
            break  # a small file can hold lines without end
        yield _decoded(_image, line)
    if found != expected:
        raise msgspec.DecodeError(f"found predictions of {found} images, expected {expected}")


class PredictionsWriter:
    """Predictions that are being written, one gzip member an image, in a file of its own without a head."""

    def __init__(self, part: Path, *, kept_bytes: int = 0) -> None:
        """Go on after the first `kept_bytes` of `part`; what a killed writer left behind them is cut off."""
        self._path = part
        self._file = part.open("r+b" if part.exists() else "w+b")
        self._file.truncate(kept_bytes)
        self._file.seek(kept_bytes)

    def add(self, image: ImagePrediction) -> None:
        """Write one image."""
        self._file.write(_member(image))

    def sync(self) -> int:
        """Make sure that everything survives a power cut; return the number of bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def finish(self, head: PredictionsHead, folder: Path) -> str:
        """Put the artifact into `folder` under its hash, remove the part, and return the hash."""
        self._file.flush()
        self._file.seek(0)
        whole = self._path.with_suffix(".whole")
        digest = hashlib.sha256()
        with whole.open("wb") as file:
            chunk = _member(head)
            while chunk:
                digest.update(chunk)
                file.write(chunk)
                chunk = self._file.read(_CHUNK_BYTES)
            file.flush()
            os.fsync(file.fileno())
        sha256 = digest.hexdigest()
        whole.replace(folder / sha256)
        self.close()
        self._path.unlink()
        return sha256

    def close(self) -> None:
        """Close the part, which stays."""
        self._file.close()

    def __enter__(self) -> PredictionsWriter:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _member(value: Any) -> bytes:
    """Pack one line; the same line always gives the same bytes."""
    return gzip.compress(_encode(value) + b"\n", _LEVEL, mtime=0)
