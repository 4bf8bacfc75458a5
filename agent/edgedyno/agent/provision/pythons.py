"""Which Python makes an environment: found by version, by name or by path, and asked what it is."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.agent.survey import SurveyError, find_modules
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = re.compile(r"^3\.\d+$")


class Interpreter(Struct, frozen=True):
    """A Python that can be started."""

    path: str
    version: str
    """Major and minor, as `3.11`."""
    architecture: str
    lacks: list[str] = []
    """Of the modules that making an environment takes."""


def find_interpreter(wanted: str | None) -> Interpreter:
    """Return this program's own Python, or the one that is asked for as `3.11`, a command or a path.

    Raises ConfigError, naming those that were found.
    """
    if wanted is None:
        return _ask(sys.executable)
    try:
        return _ask(_path(wanted))
    except SurveyError as error:
        here = ", ".join(interpreter.version for interpreter in interpreters())
        text = (
            f"--python: found no interpreter {wanted!r} ({error}), expected a path or one of {here or 'none'}"
        )
        raise ConfigError(text, code="environment.python") from error


def interpreters(versions: Iterable[str] = ()) -> list[Interpreter]:
    """Return the Pythons on PATH that start, newest first; only `versions` where some are given."""
    found = []
    for version in versions or [f"3.{minor}" for minor in range(15, 7, -1)]:
        try:
            found.append(_ask(_path(version)))
        except SurveyError:
            continue  # a shim of a version manager stands there for Pythons that are not chosen
    return found


def _path(wanted: str) -> str:
    command = f"python{wanted}" if _VERSION.match(wanted) else wanted
    path = shutil.which(command)
    if path is None:
        raise SurveyError(f"{command} is not on PATH" if "/" not in command else "no program there")
    return path


def _ask(path: str) -> Interpreter:
    survey = find_modules(path, ["venv", "ensurepip"])
    version = ".".join(survey.python.split(".")[:2])
    return Interpreter(path, version, survey.architecture, sorted(survey.missing))
