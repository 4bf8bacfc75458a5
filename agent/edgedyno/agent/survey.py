"""Asks an interpreter which modules it has, in one child; nothing is imported here, and nothing is kept."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.agent.worker.process import BOOTSTRAP, NOT_INHERITED

if TYPE_CHECKING:
    from collections.abc import Iterable

FIND_SECONDS = 30.0  # a bare interpreter on a slow card starts in seconds
IMPORT_SECONDS = 180.0  # PyTorch and NNCF together took 20 s from a cold disk


class Survey(Struct, frozen=True):
    """What an interpreter is, and which of the modules that were asked for it lacks, with the reason."""

    python: str
    architecture: str
    missing: dict[str, str]


class SurveyError(Exception):
    """An interpreter could not be asked."""


def find_modules(python: str, modules: Iterable[str]) -> Survey:
    """Look for modules without importing any. Raises SurveyError."""
    return _survey(python, "find", modules, FIND_SECONDS)


def import_modules(python: str, modules: Iterable[str]) -> Survey:
    """Import modules one after the other in the child. Raises SurveyError."""
    return _survey(python, "import", modules, IMPORT_SECONDS)


def _survey(python: str, how: str, modules: Iterable[str], seconds: float) -> Survey:
    command = [python, BOOTSTRAP, "survey", how, *modules]
    environ = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environ, timeout=seconds, check=False
        )
    except OSError as error:
        raise SurveyError(f"cannot start {python}: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise SurveyError(f"{python} gave no answer within {seconds:.0f} s") from error
    try:
        return msgspec.json.decode(done.stdout, type=Survey)
    except msgspec.MsgspecError as error:
        words = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise SurveyError(f"{python} ended with code {done.returncode}: {''.join(words)}") from error
