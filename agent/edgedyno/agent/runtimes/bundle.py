"""A variant of several files is one zip, so that it has one hash and travels as one artifact."""

import errno
import lzma
import os
import shutil
import struct
import zipfile
import zlib
from typing import List, Sequence

from edgedyno.agent.runtimes.base import InferenceError

_MOST_BYTES = 8 << 30
# Weights shrink to a half or a quarter. What shrinks to a hundredth is zeros, there to fill a disk; small files may.
_MOST_RATIO = 100
_FREE_BYTES = 64 << 20
# A directory's entry has 46 bytes and its name: this is thousands of members, of which two or three are wanted.
_MOST_DIRECTORY_BYTES = 1 << 20
_END_BYTES = 22
_MOST_NAMED = 5
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)


def unpack(path: str, scratch: str, names: Sequence[str]) -> List[str]:
    """Write the members `names` of the zip at `path` into `scratch`; return their paths.

    Only these names are taken, whatever else is in the file. Raises InferenceError (model.invalid) for a file
    that is no zip, lacks a member, is damaged or would grow beyond measure.
    """
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as bundle:
            _check(bundle.namelist(), names)
            found = [bundle.getinfo(name) for name in names]
            _check_growth(path, sum(member.file_size for member in found))
            return [_write(bundle, member, scratch) for member in found]
    except OSError as error:
        # bz2 gives no number, a seek to before the file's beginning EINVAL; a full disk is no bad bundle.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise InferenceError("model.invalid", "found a damaged bundle: %s" % error) from error
    except _DAMAGED as error:
        raise InferenceError(
            "model.invalid", "found no bundle (%s), expected a zip of %s" % (error, ", ".join(names))
        ) from error


def _check(there: Sequence[str], names: Sequence[str]) -> None:
    """Raise InferenceError, saying what is there, where a member is missing."""
    missing = [name for name in names if name not in there]
    if not missing:
        return
    shown = ", ".join(sorted(there)[:_MOST_NAMED]) + (", ..." if len(there) > _MOST_NAMED else "")
    text = "the bundle lacks %s: found %s, expected %s"
    raise InferenceError(
        "model.invalid", text % (" and ".join(missing), shown or "nothing in it", " and ".join(names))
    )


def _check_directory(path: str) -> None:
    """Raise InferenceError for a directory that would cost more memory to read than a bundle's can."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_BYTES - 0xFFFF))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END_BYTES > len(tail):
        return  # zipfile says what is wrong
    directory_bytes = struct.unpack_from("<I", tail, at + 12)[0]
    if directory_bytes > _MOST_DIRECTORY_BYTES:
        text = "found a zip with a directory of %d bytes, expected at most %d"
        raise InferenceError("model.invalid", text % (directory_bytes, _MOST_DIRECTORY_BYTES))


def _check_growth(path: str, unpacked_bytes: int) -> None:
    """Raise InferenceError before anything is written of what would fill memory or disk."""
    packed_bytes = os.path.getsize(path)
    most = min(_MOST_BYTES, max(_FREE_BYTES, _MOST_RATIO * packed_bytes))
    if unpacked_bytes > most:
        text = "found %d bytes that unpack to %d, expected at most %d"
        raise InferenceError("model.invalid", text % (packed_bytes, unpacked_bytes, most))


def _write(bundle: zipfile.ZipFile, member: zipfile.ZipInfo, scratch: str) -> str:
    """Unpack one member, whose name is one that was asked for; never more than it states."""
    target = os.path.join(scratch, "%d-%s" % (os.getpid(), member.filename))
    with bundle.open(member) as source, open(target, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    return target
