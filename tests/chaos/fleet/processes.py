"""Processes that are killed, paused, and started again when they end by themselves, as systemd does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOOK_SECONDS, RESTART_SECONDS = 0.2, 1.0


class Process:
    """One program that should run, unless it was taken down."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = list(command)
        self._log = folder / f"{name}.log"
        self._environment = {**os.environ, **environment}
        self._running: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._wanted = False
        self._asked = False
        """Whether it was asked to end, so that its end is no surprise."""
        self._start_at = 0.0
        self.ends: list[int] = []
        """Exit codes of the times when it ended although nobody had made it."""

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        with self._lock:
            alive = self._running is not None and self._running.poll() is None
            return self._running.pid if alive and self._running else None

    def start(self) -> None:
        """Start it, unless it runs."""
        with self._lock:
            self._wanted = True
            if self.pid is not None:
                return
            self._asked = False
            with self._log.open("ab") as log:
                self._running = subprocess.Popen(
                    self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, env=self._environment, cwd=ROOT,
                )  # fmt: skip

    def kill(self) -> None:
        """Kill it with SIGKILL, and leave it down."""
        with self._lock:
            self._wanted = False
            if self._running is not None:
                self._running.kill()
                self._running.wait()

    def kill_all(self) -> None:
        """Kill it and all that it has started, as a power cut would, and leave it down."""
        with self._lock:
            self._wanted = False
            if self.pid is not None:
                self.signal(signal.SIGSTOP)
                for pid in self.below():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            self.kill()

    def terminate(self) -> None:
        """Ask it to end, and leave it down."""
        with self._lock:
            self._wanted, self._asked = False, True
            self.signal(signal.SIGTERM)

    def end(self, seconds: float = 40.0) -> None:
        """Ask it to end and wait; kill its group when it does not."""
        self.terminate()
        if self._running is None:
            return
        try:
            self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            self.ends.append(-signal.SIGKILL)
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        with contextlib.suppress(ProcessLookupError):
            if self.pid is not None:
                os.kill(self.pid, number)

    def below(self) -> list[int]:
        """Return the processes that it has started, parents first."""
        return list(_below(self.pid)) if self.pid is not None else []

    def look(self) -> None:
        """Start it again if it ended by itself."""
        with self._lock:
            if not self._wanted or self._running is None or self._running.poll() is None:
                return
            if self._asked:
                self.start()
            elif self._start_at == 0.0:
                self.ends.append(self._running.returncode)
                self._start_at = time.monotonic() + RESTART_SECONDS
            elif time.monotonic() >= self._start_at:
                self._start_at = 0.0
                self.start()


class Keeper:
    """A thread that looks after processes."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for process in self._processes:
                process.look()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join(10)


def _below(pid: int) -> Iterator[int]:
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _below(int(child))
    except OSError:
        return


def marked(mark: str) -> Iterator[str]:
    """Yield the command lines of processes whose environment has `mark`."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if command:
                    yield f"{folder.name} {command}"
        except OSError:
            continue


def resident_bytes(pid: int | None) -> int:
    """Return the memory of a process that is in RAM; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
