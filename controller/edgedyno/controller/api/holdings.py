"""Which artifacts a board may fetch: those of the execution that it holds, and no other."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from edgedyno.controller.requests import manifest_of
from edgedyno.controller.store import executions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from edgedyno.core.manifest import Manifest

# A job with 50,000 images is some megabytes of hashes; its boards fetch at about the same time.
KEPT = 64


class Holdings:
    """The files of the newest executions, so that a job is not read again for each of its files."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[str, int], frozenset[str]] = OrderedDict()

    def may_fetch(self, connection: Connection, board: str, sha256: str) -> bool:
        """Tell whether a file belongs to the execution that this board was given."""
        head = executions.running_on(connection, board)
        if head is None:
            return False
        key = (head.execution, head.attempt)
        if key not in self._files:
            self._files[key] = frozenset(_files(manifest_of(connection, head)))
            if len(self._files) > KEPT:
                self._files.popitem(last=False)
        return sha256 in self._files[key]


def _files(manifest: Manifest) -> Iterator[str]:
    for part in (manifest.variants, manifest.images, manifest.known):
        for each in part:
            if each.file is not None:
                yield each.file.sha256
