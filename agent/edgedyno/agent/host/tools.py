"""Run the vendors' command-line tools, or give back what they printed when a board was recorded."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edgedyno.agent.host.read import entries, read

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_SECONDS = 5.0  # ipmitool answers within 1 s on a healthy BMC; one that hangs must not hang the agent.
SYSTEM_FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin"  # ipmitool and nvpmodel live there, off a user's PATH.


class Printed(NamedTuple):
    """What a tool printed, or the reason why it printed nothing."""

    text: str | None
    reason: str | None = None


class Tools(Protocol):
    """A board's command-line tools."""

    def run(self, *command: str) -> Printed:
        """Run a read-only command and return its standard output."""

    def first_line(self, *command: str) -> Printed:
        """Return the first line of a command that prints lines for ever."""


class LiveTools:
    """The tools of this machine, in the C locale, with a time limit."""

    def run(self, *command: str) -> Printed:
        """Run a command; a tool that is absent, fails or hangs gives a reason."""
        name = command[0]
        program = shutil.which(name) or shutil.which(name, path=SYSTEM_FOLDERS)
        if program is None:
            return Printed(None, f"{name} is not installed")
        try:
            done = subprocess.run(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Printed(None, f"{name} did not answer within {TIMEOUT_SECONDS:g} s")
        except OSError as error:
            return Printed(None, f"{name} cannot be started: {error.strerror or error}")
        if done.returncode != 0:
            return Printed(None, _failure(name, done))
        return Printed(done.stdout.decode("utf-8", "replace"))

    def first_line(self, *command: str) -> Printed:
        """Start a command, take its first line and end it."""
        name = command[0]
        program = shutil.which(name) or shutil.which(name, path=SYSTEM_FOLDERS)
        if program is None:
            return Printed(None, f"{name} is not installed")
        try:
            process = subprocess.Popen(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            return Printed(None, f"{name} cannot be started: {error.strerror or error}")
        with process:
            try:
                line = _line_in_time(process, TIMEOUT_SECONDS)
            finally:
                process.kill()
        return (
            Printed(line, None)
            if line
            else Printed(None, f"{name} printed no line within {TIMEOUT_SECONDS:g} s")
        )


class NoTools:
    """No tools at all, for readers that may start nothing."""

    def run(self, *command: str) -> Printed:
        """Refuse."""
        return Printed(None, f"{command[0]} is not started here")

    def first_line(self, *command: str) -> Printed:
        """Refuse."""
        return self.run(*command)


def _line_in_time(process: subprocess.Popen[bytes], seconds: float) -> str | None:
    """Return a process's first line; None when it does not come in time or is empty."""
    if process.stdout is None:
        return None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return process.stdout.readline().decode("utf-8", "replace").strip() or None if ready else None


def _failure(name: str, done: subprocess.CompletedProcess[bytes]) -> str:
    words = (done.stderr or done.stdout).decode("utf-8", "replace").split("\n")
    line = next((text.strip() for text in words if text.strip()), "no message")
    return f"{name} ended with {done.returncode}: {line[:200]}"


class RecordedTools:
    """Text files named after the command: `vcgencmd_get_throttled.txt`, `nvpmodel_q.txt` for `nvpmodel -q`.

    Where only captures of special moments exist (`….load.txt`), the first by name stands for the command.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, *command: str) -> Printed:
        """Return what the command printed when the board was recorded."""
        stem = "_".join(word.lstrip("-") for word in command)
        names = entries(self._folder)
        special = [name for name in names if name.startswith(f"{stem}.") and name.endswith(".txt")]
        name = f"{stem}.txt" if f"{stem}.txt" in names else next(iter(special), None)
        if name is None:
            return Printed(None, f"recorded board: no output of {' '.join(command)!r}")
        return Printed(*read(self._folder / name))

    def first_line(self, *command: str) -> Printed:
        """Return the first line of what the command printed when the board was recorded."""
        text, reason = self.run(*command)
        return Printed(
            text.splitlines()[0] if text else None, reason or (None if text else "printed nothing")
        )
