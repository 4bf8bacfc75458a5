"""Small disks of their own for folders, which can be filled to the last byte and freed again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def why_not(folder: Path) -> str | None:
    """Return why no small disk can be mounted here; None where one can."""
    if os.geteuid() != 0:
        return "only root may mount a tmpfs"
    trial = Disk(folder / "trial-disk", 1)
    try:
        trial.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)
    trial.unmount()
    return None


class Disk:
    """A tmpfs of `megabytes` on a folder."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._megabytes = megabytes
        self._ballast = folder / "ballast"

    def mount(self) -> None:
        """Mount it. Raises CalledProcessError."""
        self.folder.mkdir(parents=True)
        options = f"size={self._megabytes}m,mode=700"
        command = ["mount", "-t", "tmpfs", "-o", options, "edgedyno-chaos", str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab") as file, contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, file.tell() + shutil.disk_usage(self.folder).free)
        with self._ballast.open("ab") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(4096))

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away, whatever still holds it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False, capture_output=True)


@contextlib.contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Disk]:
    """Give a test a small disk on `folder`; where none can be mounted the test is skipped with the reason."""
    reason = why_not(folder.parent)
    if reason is not None:
        pytest.skip(reason)
    disk = Disk(folder, megabytes)
    disk.mount()
    yield disk
    disk.unmount()
