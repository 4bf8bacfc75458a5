"""Open files without a name that runner and workers share: an image's tensor goes in, raw outputs come out.

They lie in memory where the system has a place for it, in the work folder otherwise, and are gone with the last
process that holds them. Each file is lent to one image at a time, so memory does not grow with the images.
"""

from __future__ import annotations

import mmap
import os
import queue
import tempfile
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.core.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedyno.agent.measure.supervisor import OutputPlace

    Output = NDArray[np.generic]

MEMORY_FOLDER = "/dev/shm"  # noqa: S108 - POSIX shared memory; the files there never get a name


class SharedFile:
    """One open file; `fd` is its number in every process that shares it."""

    def __init__(self, scratch: Path) -> None:
        try:
            self._file = tempfile.TemporaryFile(dir=MEMORY_FOLDER, buffering=0)  # noqa: SIM115 - closed by `close`
        except OSError:
            self._file = tempfile.TemporaryFile(dir=scratch, buffering=0)  # noqa: SIM115
        self.fd = self._file.fileno()
        self._mapped: NDArray[np.float32] | None = None

    def tensor(self, shape: Sequence[int]) -> NDArray[np.float32]:
        """Return the file's beginning as a tensor to write into. Raises RunError where there is no room for it."""
        count = int(np.prod(shape))
        if self._mapped is None or self._mapped.size != count:
            self._mapped = self._map(count)
        return self._mapped.reshape(shape)

    def _map(self, count: int) -> NDArray[np.float32]:
        size_bytes = count * np.dtype(np.float32).itemsize
        try:
            os.posix_fallocate(self.fd, 0, size_bytes)
        except OSError as error:
            raise RunError(
                f"found no room for an input of {size_bytes} bytes in {MEMORY_FOLDER} or the work folder: {error}",
                code="scratch.full",
            ) from error
        return np.frombuffer(mmap.mmap(self.fd, size_bytes), np.float32, count)

    def outputs(self, places: Sequence[OutputPlace]) -> list[Output]:
        """Return copies of the outputs that a worker left here."""
        return [self._read(place) for place in places]

    def _read(self, place: OutputPlace) -> Output:
        dtype = np.dtype(place.dtype)
        count = int(np.prod(place.shape))
        data = os.pread(self.fd, count * dtype.itemsize, place.offset)
        return np.frombuffer(data, dtype, count).reshape(place.shape)

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


class Pool:
    """Files that are lent one at a time; who wants one waits until one is back."""

    def __init__(self, count: int, scratch: Path) -> None:
        self.files = [SharedFile(scratch) for _ in range(count)]
        self._free: queue.SimpleQueue[SharedFile] = queue.SimpleQueue()
        for file in self.files:
            self._free.put(file)

    @property
    def fds(self) -> list[int]:
        """What a worker has to be started with."""
        return [file.fd for file in self.files]

    def take(self) -> SharedFile:
        """Return a file that nobody has, as soon as there is one."""
        return self._free.get()

    def give_back(self, file: SharedFile) -> None:
        """Let others have it."""
        self._free.put(file)

    def close(self) -> None:
        """Let go of all."""
        for file in self.files:
            file.close()
