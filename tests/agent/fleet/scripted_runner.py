"""Stands in for the runner: gives results as a script says, and misbehaves where it says so.

Started as a process, like the real one: the last argument is the request's path. The script is the JSON file
that EDGEDYNO_SCRIPT names; it is read anew at every start.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from edgedyno.core.manifest import Failure
from edgedyno.core.messages import Progress
from edgedyno.core.result import Conditions, Result, Validity
from edgedyno.core.run import Ended, Event, Finished, Progressed, RunRequest, encode_event


class Script(msgspec.Struct, forbid_unknown_fields=True):
    """What to do."""

    trials: int = 3
    pause_seconds: float = 0.0
    """Before each trial."""
    phase: str = "accuracy"
    """A phase in which the daemon need not keep still."""
    samples: bool = False
    shared_predictions: bool = False
    missing_samples: bool = False
    crash_before: int | None = None
    """Dies without a last word before this trial."""
    hang_before: int | None = None
    ignore_sigterm: bool = False
    failure: Failure | None = None
    noise: bool = False
    twice: bool = False
    """Tells every result twice."""


def emit(event: Event) -> None:
    """Write one event line."""
    os.write(1, encode_event(event) + b"\n")


def result(request: RunRequest, number: int, **fields: object) -> Result:
    """Make the result of a trial."""
    manifest = request.manifest
    return Result(
        job=manifest.job,
        execution=manifest.execution,
        attempt=request.attempt,
        board=request.board,
        model=manifest.model.name,
        trial=f"{number:016x}",
        variant_sha256=None,
        format="onnx",
        runtime="scripted",
        runtime_version="1",
        precision="fp32",
        threads=1,
        cores="all",
        status="ok",
        conditions=Conditions(),
        validity=Validity(valid=True),
        started_at="2024-01-01T00:00:00Z",
        monotonic_seconds=0.0,
        **fields,  # type: ignore[arg-type]
    )


def artifacts(script: Script, request: RunRequest, number: int) -> tuple[dict[str, str], dict[str, str]]:
    """Write the files of a trial; return the fields that name them, and their paths."""
    fields, files = {}, {}
    contents = {}
    if script.samples:
        contents["samples_sha256"] = f"samples of {number}".encode()
    if script.shared_predictions:
        contents["predictions_sha256"] = b"the same for all"
    for field, data in contents.items():
        sha256 = hashlib.sha256(data).hexdigest()
        path = Path(request.work_dir) / f"{field}-{number}"
        if not script.missing_samples:
            path.write_bytes(data)
        fields[field], files[sha256] = sha256, str(path)
    return fields, files


def misbehave(script: Script, number: int) -> None:
    """Crash or hang, if it is time to."""
    if script.crash_before == number:
        os.kill(os.getpid(), signal.SIGSEGV)
    if script.hang_before == number:
        while True:
            time.sleep(60)


def main() -> None:
    """Run the script."""
    request = msgspec.json.decode(Path(sys.argv[-1]).read_bytes(), type=RunRequest)
    script = msgspec.json.decode(Path(os.environ["EDGEDYNO_SCRIPT"]).read_bytes(), type=Script)
    log = Path(os.environ["EDGEDYNO_SCRIPT"]).with_suffix(".starts")
    with log.open("a") as file:
        file.write(
            json.dumps({"pid": os.getpid(), "done": request.done_trials, "files": request.files}) + "\n"
        )
    if script.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if script.noise:
        os.write(1, b"this is no event\n")
    for number in range(script.trials):
        progress = Progress(phase=script.phase, trials_done=number, trials_total=script.trials)
        emit(Progressed(progress))
        misbehave(script, number)
        time.sleep(script.pause_seconds)
        if f"{number:016x}" not in request.done_trials:
            fields, files = artifacts(script, request, number)
            for _ in range(2 if script.twice else 1):
                emit(Finished(result(request, number, **fields), files))
    emit(Ended(script.failure))


if __name__ == "__main__":
    main()
