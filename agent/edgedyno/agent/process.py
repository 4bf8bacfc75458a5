"""The runner's process: started in its own session, read line by line, ended with all its children."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING

import msgspec

from edgedyno.agent.events import AnyWake, RunnerGone, RunnerSaid
from edgedyno.core.errors import RunError
from edgedyno.core.run import decode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

RUNNER_COMMAND = (sys.executable, "-m", "edgedyno.agent.measure")
# Lines that may wait for the main thread; then the runner waits too.
LINES_AHEAD = 64
# For reading what a dead runner has left in the pipe.
LINES_SECONDS = 30.0
ORPHAN_SECONDS = 10.0


class RunnerProcess:
    """One started runner. `deliver` is called in threads of this object."""

    def __init__(
        self, run: int, process: subprocess.Popen[bytes], lines: IO[bytes], deliver: Callable[[AnyWake], None]
    ) -> None:
        self.run = run
        self.pid = process.pid
        self._process = process
        self._deliver = deliver
        self._ahead = threading.BoundedSemaphore(LINES_AHEAD)
        self._reader = threading.Thread(
            target=self._read, args=(lines,), name=f"runner-{run}-lines", daemon=True
        )
        self._waiter = threading.Thread(target=self._wait, name=f"runner-{run}-end", daemon=True)
        self._reader.start()
        self._waiter.start()

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        request: Path,
        lock: Path,
        *,
        run: int,
        deliver: Callable[[AnyWake], None],
    ) -> RunnerProcess:
        """Start `command` on a request file.

        The runner holds `lock` as long as it lives, and nobody else does: so a later daemon can tell whether
        the process that it wrote down is still the same one. Raises RunError when it cannot be started.
        """
        with lock.open("wb") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                process = subprocess.Popen(
                    [*command, str(request)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                    pass_fds=(held.fileno(),),
                )
            except OSError as error:
                raise RunError(f"the runner cannot be started: {error}", code="runner.start") from error
        return cls(run, process, process.stdout or io.BytesIO(), deliver)

    def handled(self) -> None:
        """Let the reader go on by one line."""
        self._ahead.release()

    def terminate(self) -> None:
        """Ask the runner to stop; it stops its workers itself."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """Kill the runner and everything in its process group."""
        if self._process.returncode is None:
            _kill_group(self.pid)

    def join(self, seconds: float) -> None:
        """Wait for the threads of a runner that was killed."""
        self._waiter.join(seconds)

    def _wait(self) -> None:
        # The runner stays a zombie until the group is dead, so that its number cannot name another group.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        _kill_group(self.pid)
        returncode = self._process.wait()
        self._reader.join(LINES_SECONDS)
        self._deliver(RunnerGone(self.run, returncode))

    def _read(self, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                try:
                    event = decode_event(line)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    log.warning("the runner wrote a line that is no event (%s): %.200r", error, line)
                    continue
                self._ahead.acquire()
                self._deliver(RunnerSaid(self.run, event))


def end_orphan(request: Path, lock: Path) -> None:
    """Kill the runner that an earlier daemon left behind on `request`, if it lives, and wait for its end.

    Raises RunError when it does not end.
    """
    if not lock.exists():
        return
    with lock.open("rb") as probe:
        if _lock_is_free(probe):
            return
        log.warning("a runner of an earlier start still runs: it is killed", extra={"request": str(request)})
        deadline = time.monotonic() + ORPHAN_SECONDS
        while not _lock_is_free(probe):
            if time.monotonic() > deadline:
                raise RunError(
                    f"the runner of an earlier start on {request} does not end", code="runner.orphan"
                )
            _kill_runners_of(request)
            time.sleep(0.05)


def _kill_runners_of(request: Path) -> None:
    """Kill the groups of processes that were started on `request`.

    A number written down would not do: the daemon may be killed between the start and the writing.
    """
    import psutil  # costs memory that is needed in this rare case only

    for process in psutil.process_iter(["cmdline"]):
        if str(request) in (process.info["cmdline"] or []):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(process.pid) == process.pid:
                    _kill_group(process.pid)


def _lock_is_free(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
