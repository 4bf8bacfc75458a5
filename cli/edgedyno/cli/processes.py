"""Child processes of `edgedyno up`: started in order, stopped in reverse; none outlives its parent."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from edgedyno.core.errors import RetryableError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Self

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STOP_SECONDS = 15.0


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Tell whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Children:
    """Processes that belong together; leaving the context stops them, last started first."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_error: object) -> None:
        for _name, process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str, command: list[str]) -> None:
        """Start a process whose output goes to `NAME.log`."""
        with self.log(name).open("ab") as log:
            # A session of its own keeps Ctrl-C from it: we stop it, in order.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call; no thread of ours runs yet
            )  # fmt: skip
        self._running.append((name, process))

    def log(self, name: str) -> Path:
        """Return where the process called `name` logs."""
        return self._logs / f"{name}.log"

    def wait_for(self, what: str, check: Callable[[], bool], *, seconds: float) -> None:
        """Wait until `check()` holds; raise RunError when a process died, RetryableError when time is up."""
        deadline = time.monotonic() + seconds
        while not check():
            self.raise_if_dead()
            if time.monotonic() > deadline:
                raise RetryableError(f"{what} did not come up within {seconds:.0f} s; logs: {self._logs}")
            time.sleep(0.05)

    def raise_if_dead(self) -> None:
        """Raise RunError with the end of its log when a process has ended."""
        for name, process in self._running:
            if process.poll() is not None:
                tail = self.log(name).read_text(errors="replace").strip().splitlines()[-5:]
                raise RunError(
                    "\n".join([f"{name} ended with code {process.returncode}; {self.log(name)}:", *tail])
                )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
