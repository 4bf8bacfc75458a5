"""The board's cache of artifacts: verified files by sha256 within a budget. Transport is `transfer`'s."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
from typing import TYPE_CHECKING

from edgedyno.agent.files import fsync_folder, hash_file
from edgedyno.agent.transfer import Transfer, TransferStoppedError
from edgedyno.core.errors import EdgedynoError, RetryableError, RunError, UnsupportedError
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable
    from pathlib import Path

    from edgedyno.core.broker import Tls
    from edgedyno.core.manifest import ArtifactRef

log = logging.getLogger(__name__)

# Left free on the disk for everybody else, the outbox and the runner's samples among them.
MARGIN_BYTES = 64 << 20
# A transfer that breaks off is continued at once while bytes arrive; then the caller waits and retries.
RESUMES = 3


class ArtifactCache:
    """Files by content; used by one thread at a time."""

    def __init__(
        self, folder: Path, *, budget_bytes: int, tls: Tls | None = None, token: str | None = None
    ) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._tls = tls
        self._token = token
        self._verified: dict[str, tuple[int, int, int]] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def fetch(
        self, refs: Iterable[ArtifactRef], api_url: str | None, stop: threading.Event
    ) -> dict[str, str]:
        """Return a verified local path for every artifact, fetching what is missing.

        Raises RetryableError where trying again later may help; RunError, UnsupportedError where it cannot.
        """
        needed = {ref.sha256: ref for ref in refs}
        missing = []
        for ref in needed.values():
            if stop.is_set():
                raise TransferStoppedError("fetching was stopped")
            if not self._has(ref):
                missing.append(ref)
        if missing:
            self._make_room(needed, missing)
            self._fetch_missing(missing, api_url, stop)
        return {sha256: str(self._path(sha256)) for sha256 in needed}

    def _fetch_missing(self, missing: list[ArtifactRef], api_url: str | None, stop: threading.Event) -> None:
        if api_url is None:
            raise RetryableError(
                f"{len(missing)} artifacts are missing and no controller has told its URL yet",
                code="artifact.no-controller",
            )
        with contextlib.closing(Transfer(api_url, stop, tls=self._tls, token=self._token)) as transfer:
            for ref in missing:
                try:
                    self._fetch_one(transfer, ref)
                except OSError as error:
                    raise _disk_error(ref, error) from error

    def _fetch_one(self, transfer: Transfer, ref: ArtifactRef) -> None:
        part = self._part(ref.sha256)
        for resumes_left in reversed(range(RESUMES)):
            before = part.stat().st_size if part.exists() else 0
            try:
                transfer.get(ref, part)
                break
            except (RetryableError, RunError) as error:
                if not resumes_left or not self._worth_another_try(error, part, before):
                    raise
        part.chmod(0o440)
        part.replace(self._path(ref.sha256))
        fsync_folder(self._folder)
        self._verified[ref.sha256] = self._signature(ref.sha256)

    def _worth_another_try(self, error: EdgedynoError, part: Path, before: int) -> bool:
        """Tell whether to go on at once: bytes came, or what was continued may have had a bad beginning."""
        if isinstance(error, RetryableError):
            return self._size(part) > before
        return error.code == "artifact.hash" and before > 0

    def _has(self, ref: ArtifactRef) -> bool:
        """Tell whether a verified file is there; its hash is checked again once in each start."""
        path = self._path(ref.sha256)
        try:
            signature = self._signature(ref.sha256)
            if self._verified.get(ref.sha256) != signature:
                if path.stat().st_size != ref.size_bytes or hash_file(path) != ref.sha256:
                    log.error("cached artifact %s is damaged: it is fetched again", ref.sha256)
                    path.unlink()
                    return False
                self._verified[ref.sha256] = signature
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return False
        return True

    def _make_room(self, needed: dict[str, ArtifactRef], missing: list[ArtifactRef]) -> None:
        total = sum(ref.size_bytes for ref in needed.values())
        if total > self._budget_bytes:
            raise UnsupportedError(
                f"the execution needs {format_bytes(total)} of artifacts, "
                f"this board's budget (cache_size) is {format_bytes(self._budget_bytes)}",
                code="artifact.budget",
            )
        parts = sum(self._size(self._part(ref.sha256)) for ref in missing)
        to_come = sum(ref.size_bytes for ref in missing) - parts
        oldest_first = self._evictable(needed)
        cached = sum(self._size(path) for path in self._folder.iterdir())
        while cached + to_come > self._budget_bytes or self._free() < to_come + MARGIN_BYTES:
            if not oldest_first:
                break
            path = oldest_first.pop(0)
            cached -= self._size(path)
            log.info("artifact %s leaves the cache", path.name)
            path.unlink()
        if self._free() < to_come + MARGIN_BYTES:
            raise RetryableError(
                f"{self._folder}: found {format_bytes(self._free())} free, expected "
                f"{format_bytes(to_come)} for {len(missing)} artifacts "
                f"and {format_bytes(MARGIN_BYTES)} to spare",
                code="artifact.disk-full",
            )

    def _evictable(self, needed: dict[str, ArtifactRef]) -> list[Path]:
        paths = [path for path in self._folder.iterdir() if path.name.removesuffix(".part") not in needed]
        return sorted(paths, key=lambda path: path.stat().st_atime_ns)

    def _free(self) -> int:
        return shutil.disk_usage(self._folder).free

    @staticmethod
    def _size(path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256

    def _part(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.part"

    def _signature(self, sha256: str) -> tuple[int, int, int]:
        status = self._path(sha256).stat()
        return status.st_ino, status.st_size, status.st_mtime_ns


def _disk_error(ref: ArtifactRef, error: OSError) -> RetryableError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = "artifact.disk-full" if full else "artifact.disk"
    return RetryableError(f"artifact {ref.sha256}: cannot be written: {error}", code=code)
