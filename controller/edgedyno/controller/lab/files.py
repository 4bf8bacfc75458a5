"""Files by content: a folder in which each file is named by its sha256. It knows nothing of what they mean.

Every write is atomic: a file is complete, synced and of the right content before its name appears, so that a
crash leaves at most a stray in the `incoming` folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.core.errors import ConfigError, UnsupportedError
from edgedyno.core.manifest import ArtifactRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


class Upload:
    """A file that is being written; it gets its name only when its content is what was promised."""

    def __init__(self, descriptor: int, *, sha256: str | None, max_bytes: int | None) -> None:
        self._descriptor = descriptor
        self._expected = sha256
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Hash of what was written so far."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append `chunk`. Raises ConfigError (artifact.too-large) beyond the limit."""
        self.size_bytes += len(chunk)
        if self._max_bytes is not None and self.size_bytes > self._max_bytes:
            raise ConfigError(
                f"found more than {self._max_bytes} bytes, expected at most that many",
                code="artifact.too-large",
            )
        self._hash.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def check(self) -> None:
        """Raise ConfigError (artifact.wrong-content) when the content is not what was promised."""
        if self._expected is not None and self.sha256 != self._expected:
            raise ConfigError(
                f"found content with sha256 {self.sha256}, expected {self._expected}",
                code="artifact.wrong-content",
            )


class ContentStore:
    """Files under `root`, each named by its sha256, in folders of the first two and next two digits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def add_bytes(self, data: bytes, *, name: str = "") -> ArtifactRef:
        """Keep `data` and return how to name it."""
        return self._add([data], name)

    def add_file(self, path: Path, *, name: str | None = None) -> ArtifactRef:
        """Keep a copy of the file at `path`, hashed while it is copied."""
        with path.open("rb") as source:
            return self._add(
                iter(lambda: source.read(_CHUNK_BYTES), b""), path.name if name is None else name
            )

    def add_files(self, files: Iterable[tuple[str, Path]]) -> None:
        """Keep copies of files whose sha256 is known; the disk is waited for once, not for each.

        Raises ConfigError (artifact.wrong-content) for one that was changed in the meantime.
        """
        with contextlib.ExitStack() as parts:
            waiting = []
            for sha256, path in files:
                if not self.has(sha256):
                    descriptor, temporary = tempfile.mkstemp(dir=self._incoming)
                    parts.callback(Path(temporary).unlink, missing_ok=True)
                    _copy(path, descriptor, sha256)
                    waiting.append((Path(temporary), sha256))
            if waiting:
                os.sync()
            for copy, sha256 in waiting:
                target = self._place(sha256)
                target.parent.mkdir(parents=True, exist_ok=True)
                copy.rename(target)

    def _add(self, chunks: Iterable[bytes], name: str) -> ArtifactRef:
        with self.open_upload() as upload:
            for chunk in chunks:
                upload.write(chunk)
        return ArtifactRef(upload.sha256, upload.size_bytes, name)

    @contextlib.contextmanager
    def open_upload(self, sha256: str | None = None, *, max_bytes: int | None = None) -> Iterator[Upload]:
        """Give something to write a file into; it is kept when the block ends without an error.

        With `sha256` other content is refused: ConfigError artifact.wrong-content. Whatever goes wrong,
        nothing is left behind.
        """
        if sha256 is not None:
            _check_name(sha256)
        descriptor, temporary = tempfile.mkstemp(dir=self._incoming)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # until it is closed: see clear_incoming
            upload = Upload(descriptor, sha256=sha256, max_bytes=max_bytes)
            yield upload
            upload.check()
            if not self._is_kept(upload):
                os.fchmod(descriptor, 0o444)
                os.fsync(descriptor)
                self._publish(Path(temporary), upload.sha256)
        finally:
            os.close(descriptor)
            Path(temporary).unlink(missing_ok=True)

    def clear_incoming(self) -> None:
        """Remove what a process that was killed has left of its uploads; those under way are locked."""
        for path in self._incoming.iterdir():
            with contextlib.suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _is_kept(self, upload: Upload) -> bool:
        """Tell whether the file is here already, so that writing it again can be spared."""
        place = self._place(upload.sha256)
        return place.is_file() and place.stat().st_size == upload.size_bytes

    def _publish(self, temporary: Path, sha256: str) -> None:
        target = self._place(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(target)
        _sync_folder(target.parent)

    def path(self, sha256: str) -> Path:
        """Return where the file lies. Raises UnsupportedError (artifact.missing) when it is not here."""
        place = self._place(sha256)
        if not place.is_file():
            raise UnsupportedError(f"artifact {sha256} is not in {self.root}", code="artifact.missing")
        return place

    def has(self, sha256: str) -> bool:
        """Tell whether the file is here."""
        return self._place(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        """Return the file's bytes. Raises UnsupportedError (artifact.missing)."""
        return self.path(sha256).read_bytes()

    def verify(self, sha256: str) -> None:
        """Read the file and compare. Raises ConfigError (artifact.wrong-content) when it was changed."""
        hasher = hashlib.sha256()
        with self.path(sha256).open("rb") as file:
            for chunk in iter(lambda: file.read(_CHUNK_BYTES), b""):
                hasher.update(chunk)
        found = hasher.hexdigest()
        if found != sha256:
            raise ConfigError(
                f"{self._place(sha256)}: found content with sha256 {found}, expected {sha256}",
                code="artifact.wrong-content",
            )

    def remove(self, sha256: str) -> None:
        """Forget the file; nothing happens when it is not here."""
        self._place(sha256).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """Go through the sha256 of every file, in order."""
        yield from sorted(path.name for path in self.root.glob("??/??/*") if _SHA256.fullmatch(path.name))

    def size_bytes(self) -> int:
        """Return the bytes that all files take together."""
        return sum(self._place(sha256).stat().st_size for sha256 in self.names())

    def _place(self, sha256: str) -> Path:
        _check_name(sha256)
        return self.root / sha256[:2] / sha256[2:4] / sha256


def _copy(path: Path, descriptor: int, sha256: str) -> None:
    """Write a file's content through a new descriptor, which is closed afterwards."""
    upload = Upload(descriptor, sha256=sha256, max_bytes=None)
    try:
        with path.open("rb") as source:
            for chunk in iter(lambda: source.read(_CHUNK_BYTES), b""):
                upload.write(chunk)
        upload.check()
        os.fchmod(descriptor, 0o444)
    finally:
        os.close(descriptor)


def _check_name(sha256: str) -> None:
    """Refuse anything that is not a sha256 before it can become a path."""
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"found {sha256!r}, expected 64 hexadecimal digits", code="artifact.name")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
