"""Runs `python -m venv` and pip: output to a log and to the progress line, failures as errors with their cause.

The user's own configuration of pip holds (index, proxy, certificates, cache).
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import subprocess
from typing import TYPE_CHECKING

from edgedyno.agent.worker.process import NOT_INHERITED
from edgedyno.core.document import nearest
from edgedyno.core.errors import EdgedynoError, RetryableError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.agent.provision.work import Work
    from edgedyno.core.environment import InstallStep

PR_SET_PDEATHSIG = 1
TICK_SECONDS = 1.0
TAIL_LINES = 400
STOP_SECONDS = 5.0
_VERSIONS = re.compile(r"requirement (\S+).*\(from versions: (.*)\)")
_OUT_OF_REACH = ("connection broken by", "NewConnectionError", "Could not fetch URL", "ReadTimeoutError")
_FLAGS = ("--no-input", "--disable-pip-version-check", "--progress-bar=off", "--only-binary=:all:")


def make_venv(python: str, folder: Path, work: Work) -> None:
    """Make an empty environment with pip in it. Raises RunError."""
    lines, code = _run([python, "-m", "venv", str(folder)], work, {})
    if code != 0:
        text = f"{python} -m venv ended with code {code}: {_last(lines)}"
        raise RunError(text, code="environment.venv")


def pip_install(python: str, step: InstallStep, arguments: Sequence[str], work: Work, scratch: Path) -> None:
    """Install one step's packages: wheels only, for a board compiles for hours. Raises EdgedynoError."""
    flags = [*_FLAGS, *(["--no-deps"] if step.no_deps else [])]
    command = [python, "-m", "pip", "install", *flags, *arguments, *step.packages]
    # /tmp is memory on some boards, and wheels of hundreds of megabytes pass through.
    scratch.mkdir(exist_ok=True)
    lines, code = _run(command, work, {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"})
    if code != 0:
        raise explain(lines, code)


def list_packages(python: str) -> list[str]:
    """Return what is installed, as `name==version`. Raises RunError."""
    command = [python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, env=_environ({}), check=False)
    if done.returncode != 0:
        raise RunError(f"pip list ended with code {done.returncode}", code="environment.pip")
    return sorted(done.stdout.split())


def explain(lines: Sequence[str], code: int) -> EdgedynoError:
    """Say what pip failed of, from its own words."""
    text = "\n".join(lines)
    if any(sign in text for sign in _OUT_OF_REACH):
        return RetryableError(f"pip cannot reach the package index: {_last(lines)}", code="environment.index")
    if "No space left on device" in text:
        return RunError("pip found no space left on the device", code="environment.disk")
    match = _VERSIONS.search(text)
    if match:
        found = [each for each in match[2].split(", ") if each not in ("", "none")]
        wanted = match[1].partition("==")
        hint = nearest(wanted[2], found) if found else ""
        known = (
            f"; it has {', '.join(found[-8:])}" if found else "; it has none for this Python and architecture"
        )
        return RunError(f"pip found no package {match[1]}{known}{hint}", code="environment.package")
    return RunError(f"pip ended with code {code}: {_last(lines)}", code="environment.pip")


def _last(lines: Sequence[str]) -> str:
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or [line for line in lines if line.strip()] or ["it said nothing"])[-1].strip()


def _run(command: list[str], work: Work, extra: dict[str, str]) -> tuple[list[str], int]:
    """Run a program to its end; return its last lines and its exit code. It does not outlive this process."""
    work.log.write(f"$ {' '.join(command)}\n".encode())
    work.log.flush()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=_environ(extra), start_new_session=True, preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl
    )  # fmt: skip
    try:
        lines = _follow(process, work)
        return lines, process.wait()
    finally:
        _stop(process)


def _follow(process: subprocess.Popen[bytes], work: Work) -> list[str]:
    lines: list[str] = []
    assert process.stdout is not None  # noqa: S101 - Popen was told to make it
    with process.stdout as output:
        rest = b""
        while True:
            work.stop.check()
            if not select.select([output], [], [], TICK_SECONDS)[0]:
                work.progress.tick()
                continue
            chunk = os.read(output.fileno(), 1 << 16)
            if not chunk:
                return [*lines, rest.decode(errors="replace")][-TAIL_LINES:]
            work.log.write(chunk)
            work.log.flush()
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                lines.append(line.decode(errors="replace"))
                work.progress.line(lines[-1])
            del lines[:-TAIL_LINES]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the program and of its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environ(extra: dict[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    return {**kept, **extra}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
