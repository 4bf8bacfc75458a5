"""The parent's end of a worker: start it, ask it with a deadline, end it. Standard library only.

The parent blocks on the pipe while a worker works; nothing here polls.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from typing import Any, BinaryIO, Dict, Mapping, NamedTuple, Optional, Sequence

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")
NOT_INHERITED = (
    # The agent's own interpreter.
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV",
    # Ways to the service manager, to other sessions and keys.
    "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC", "JOURNAL_STREAM",
    "INVOCATION_ID", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "GPG_AGENT_INFO", "DBUS_SESSION_BUS_ADDRESS",
)  # fmt: skip
# A model's runtime needs no secret, whatever its name.
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|COOKIE|^EDGEDYNO_", re.IGNORECASE
)
_STDERR_TAIL_BYTES = 2000


def clean_environment(environ: Mapping[str, str]) -> Dict[str, str]:
    """Return what a worker may see of its parent's environment: paths and settings of runtimes, no secrets."""
    return {
        name: value
        for name, value in environ.items()
        if name not in NOT_INHERITED and not _SECRET.search(name)
    }


class Plugin(NamedTuple):
    """Where a runtime's class is; `file` is set where the worker could not import `module` by name."""

    name: str
    module: str
    attribute: str
    file: Optional[str] = None


class WorkerError(Exception):
    """A worker could not do what it was asked: a stable code and a sentence; `fatal` when it is gone."""

    def __init__(self, code: str, text: str, fatal: bool) -> None:
        super().__init__(text)
        self.code = code
        self.fatal = fatal


class WorkerProcess:
    """A child in the runtime's interpreter, with a process group of its own."""

    def __init__(self, python: str, log: BinaryIO, files: Sequence[int] = ()) -> None:
        """Start the child; what the runtime prints goes to `log`, which stays the caller's.

        The open `files` are its own too, under the same numbers.
        """
        self._log = log
        self._buffer = b""
        command_read, self._commands = os.pipe()
        self._answers, answer_write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [python, "-u", BOOTSTRAP, str(command_read), str(answer_write), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(os.environ),
                pass_fds=(command_read, answer_write, *files),
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._commands)
            os.close(self._answers)
            raise WorkerError("worker.start", "cannot start %s: %s" % (python, error), True) from error
        finally:
            os.close(command_read)
            os.close(answer_write)

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's."""
        return self._process.pid

    def ask(self, op: str, deadline_seconds: float, **arguments: Any) -> Dict[str, Any]:
        """Send a command and wait for its answer; raises WorkerError."""
        line = json.dumps(dict(arguments, op=op)) + "\n"
        try:
            os.write(self._commands, line.encode())
        except BrokenPipeError:
            raise self._death(op) from None
        answer: Dict[str, Any] = json.loads(self._read_line(op, deadline_seconds))
        if not answer.pop("ok"):
            raise WorkerError(answer["code"], answer["text"], False)
        return answer

    def _read_line(self, op: str, deadline_seconds: float) -> bytes:
        deadline = time.monotonic() + deadline_seconds
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                self.kill()
                text = "no answer to %r within %.0f s: the worker was killed" % (op, deadline_seconds)
                raise WorkerError("worker.hung", text, True)
            chunk = os.read(self._answers, 1 << 20)
            if not chunk:
                raise self._death(op)
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _death(self, op: str) -> WorkerError:
        """Say how the worker died."""
        self.kill()
        status = self._process.returncode
        if status == -signal.SIGKILL:
            return WorkerError(
                "worker.killed",
                "killed by signal 9 (SIGKILL) during %r: by the kernel when memory ran out, or by somebody"
                % op,
                True,
            )
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            text = "crashed with signal %d (%s) during %r" % (-status, name, op)
        else:
            text = "ended with exit code %s during %r" % (status, op)
        return WorkerError("worker.crashed", text + self._last_words(), True)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            end = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, end - _STDERR_TAIL_BYTES))
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            return ": " + lines[-1] if lines else ""
        return ""

    def close(self, deadline_seconds: float = 5.0) -> None:
        """Let it end by itself, or kill it; reap it either way."""
        self._close_pipes()
        try:
            self._process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def halt(self) -> None:
        """Stop all its threads where they are, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a halted worker run again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Kill its whole process group and reap it."""
        self._close_pipes()
        if self._process.poll() is None:
            # A dying process gets the moment that its own death needs, so that its signal is the one that
            # is told.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _close_pipes(self) -> None:
        for fd in (self._commands, self._answers):
            if fd >= 0:
                os.close(fd)
        self._commands = self._answers = -1
