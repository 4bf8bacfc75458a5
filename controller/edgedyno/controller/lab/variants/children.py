"""Child processes that build: told not to report, ended with all that they started, heard at the end.

It knows nothing of what a child does; it answers how one ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING

from edgedyno.core.manifest import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LAST_BYTES = 4000
# Of the interpreter that runs edgedyno; another one must not find our packages by them.
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV")
# Whatever a tool wants to report about its use, it is told not to, before it is imported.
_OPT_OUTS = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENVINO_TELEMETRY_OPT_OUT": "1",
    "NNCF_TELEMETRY_OPT_OUT": "1",
    "DO_NOT_TRACK": "1",  # consoledonottrack.com; some honour only this
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MPLBACKEND": "Agg",
}


def run_child(
    command: Sequence[str], *, folder: Path, timeout_seconds: float, foreign: bool
) -> Failure | None:
    """Run `command` in `folder` to its end; return why it did not end well, None where it did.

    A `foreign` interpreter gets an environment without what leads to our own packages. Whatever happens, none
    of the processes that it started outlives it.
    """
    with tempfile.TemporaryFile() as words:
        try:
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(folder, foreign=foreign),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                start_new_session=True,
            )
        except OSError as error:
            return Failure("builder.missing", f"{command[0]} cannot be started: {error.strerror}")
        try:
            status = child.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return Failure("variant.timeout", f"the build was ended after {timeout_seconds:g} s")
        finally:
            _end(child)
        if status == 0:
            return None
        return Failure("variant.crashed", _how_it_died(status, _last_words(words)))


def _environment(folder: Path, *, foreign: bool) -> dict[str, str]:
    dropped = _NOT_INHERITED if foreign else ()
    inherited = {name: value for name, value in os.environ.items() if name not in dropped}
    # A fixed seed: sets of names must have one order for equal builds to be equal files.
    return {**inherited, **_OPT_OUTS, "PYTHONHASHSEED": "0", "TMPDIR": str(folder)}


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_words(words: IO[bytes]) -> str:
    """Return the last line that says something, of what a child printed."""
    words.seek(0, os.SEEK_END)
    words.seek(max(0, words.tell() - _LAST_BYTES))
    lines = words.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:500] if lines else ""


def _how_it_died(status: int, last: str) -> str:
    if status > 0:
        return f"the build ended with status {status}: {last or 'it said nothing'}"
    name = signal.Signals(-status).name
    hint = " (often: out of memory)" if name == "SIGKILL" else ""
    return f"the build was killed by {name}{hint}{': ' if last else ''}{last}"
