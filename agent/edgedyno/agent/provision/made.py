"""The environments that were made here: where they lie, what their stamps say. Looks only.

An environment counts from the moment that its stamp, which is written last, is there. Imports nothing of the
fleet half: the controller's side of `edgedyno run` asks it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.agent.environments import default_environments
from edgedyno.agent.folders import ENVIRONMENTS
from edgedyno.core.errors import ConfigError
from edgedyno.core.run import Environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FOLDER = ENVIRONMENTS
STAMP = "edgedyno-environment.json"


class Made(Struct, frozen=True, kw_only=True):
    """The stamp of an environment: from what it was made."""

    name: str
    entry: str
    """Of the catalogue."""
    version: str
    """Of the entry's main package."""
    python_version: str
    architecture: str
    runtimes: list[str]
    builds: list[str]
    packages: list[str]
    """Everything that is installed, as `name==version`."""
    size_bytes: int
    made_at: str
    agent_version: str


def folder_of(state_dir: Path, name: str) -> Path:
    """Return where an environment of this name lies, whether it is there or not."""
    return state_dir / FOLDER / name


def python_of(state_dir: Path, name: str) -> Path:
    """Return the interpreter of an environment of this name."""
    return folder_of(state_dir, name) / "bin" / "python"


def read_made(state_dir: Path) -> list[Made]:
    """Return the stamps of the environments that are ready, by name."""
    found = []
    for stamp in sorted((state_dir / FOLDER).glob(f"*/{STAMP}")):
        try:
            made = msgspec.json.decode(stamp.read_bytes(), type=Made)
        except (OSError, msgspec.MsgspecError):
            continue  # of another user, or being removed
        # The folder's name counts: a venv that was moved or copied is another one, and a broken one.
        if made.name == stamp.parent.name:
            found.append(made)
    return found


def find_environments(state_dir: Path) -> list[Environment]:
    """Return the environments with runtimes that were made below `state_dir`."""
    return [
        Environment(made.name, str(python_of(state_dir, made.name)), list(made.runtimes))
        for made in read_made(state_dir)
        if made.runtimes
    ]


def builder_interpreters(state_dir: Path) -> dict[str, str]:
    """Return for each format the interpreter that can build it, the usual name before others."""
    found: dict[str, str] = {}
    for made in sorted(read_made(state_dir), key=lambda made: (made.name != made.entry, made.name)):
        for form in made.builds:
            found.setdefault(form, str(python_of(state_dir, made.name)))
    return found


def all_environments(named: Sequence[Environment], state_dir: Path) -> list[Environment]:
    """Return what a configuration names (this interpreter where it names none) and what was made here.

    Raises ConfigError where two have the same name.
    """
    made = find_environments(state_dir)
    for environment in made:
        if any(environment.name == each.name for each in named):
            text = (
                f"runtimes: found the name {environment.name!r} for {_python(named, environment.name)} and for "
                f"{environment.python}, expected it once; rename the one in the configuration, "
                f"or `edgedyno agent runtimes remove {environment.name}`"
            )
            raise ConfigError(text, code="config.runtimes")
    return [*(named or default_environments()), *made]


def _python(named: Sequence[Environment], name: str) -> str:
    return next(each.python for each in named if each.name == name)
