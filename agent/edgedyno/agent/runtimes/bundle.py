"""A variant of several files is one zip, so that it has one hash and travels as one artifact."""

import os
import zipfile
from typing import List, Sequence

from edgedyno.agent.runtimes.base import InferenceError

_MOST_BYTES = 8 << 30
_MOST_NAMED = 5


def unpack(path: str, scratch: str, names: Sequence[str]) -> List[str]:
    """Write the members `names` of the zip at `path` into `scratch`; return their paths.

    Only these names are taken, whatever else is in the file. Raises InferenceError (model.invalid) for a file
    that is no zip, lacks a member, is damaged or would grow beyond measure.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            _check(bundle.namelist(), names)
            found = [bundle.getinfo(name) for name in names]
            if sum(member.file_size for member in found) > _MOST_BYTES:
                raise InferenceError("model.invalid", "found over 8 GB in %s" % os.path.basename(path))
            return [_write(bundle.read(member), scratch, member.filename) for member in found]
    except (zipfile.BadZipFile, EOFError) as error:
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


def _write(data: bytes, scratch: str, name: str) -> str:
    target = os.path.join(scratch, "%d-%s" % (os.getpid(), name))
    with open(target, "wb") as file:
        file.write(data)
    return target
