"""Files that results name, kept until the controller has acknowledged the results."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
from pathlib import Path

from edgedyno.agent.files import fsync_folder

log = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Spool:
    """A folder of files by sha256. The name is the runner's claim; the controller checks it when it takes the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, files: dict[str, str]) -> list[str]:
        """Take durable copies of `files`; return the sha256 of those that could be taken.

        A file that is missing is logged and left out: its result is worth more than its samples.
        """
        kept = []
        for sha256, source in files.items():
            if not _SHA256.fullmatch(sha256):
                log.error("the runner named an artifact %r, expected a sha256", sha256)
                continue
            try:
                self._keep_one(Path(source), self._folder / sha256)
            except OSError as error:
                log.warning("artifact %s of a result cannot be kept: %s", sha256, error)
            else:
                kept.append(sha256)
        if kept:
            fsync_folder(self._folder)
        return kept

    @staticmethod
    def _keep_one(source: Path, target: Path) -> None:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if target.exists():
            return
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
                raise
            copy = target.with_suffix(".part")
            shutil.copyfile(source, copy)
            copy.replace(target)

    def path(self, sha256: str) -> Path:
        """Return where a kept file lies."""
        return self._folder / sha256

    def keep_only(self, wanted: set[str]) -> None:
        """Remove the files that no result in the outbox names."""
        for path in self._folder.iterdir():
            if path.name not in wanted:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
