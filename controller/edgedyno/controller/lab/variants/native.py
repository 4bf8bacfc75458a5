"""One ONNX variant, built by the interpreter that runs us, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from edgedyno.controller.lab.variants.children import run_child
from edgedyno.controller.lab.variants.request import BuildAnswer, BuildRequest, decode_answer
from edgedyno.core.manifest import Failure


def build_native(request: BuildRequest, *, timeout_seconds: float) -> BuildAnswer:
    """Run the building process; its death is an answer too."""
    folder = Path(request.target).parent
    page = folder / "request.json"
    page.write_bytes(msgspec.json.encode(request))
    command = [sys.executable, "-m", "edgedyno.controller.lab.variants", str(page)]
    failure = run_child(command, folder=folder, timeout_seconds=timeout_seconds, foreign=False)
    if failure is not None:
        return BuildAnswer(failure=failure)
    return _read(Path(request.answer))


def _read(answer: Path) -> BuildAnswer:
    if answer.is_file():
        return decode_answer(answer.read_bytes())
    text = "the build ended with status 0: it said nothing"
    return BuildAnswer(failure=Failure("variant.crashed", text))
