"""What is looked at before an environment is made: its name, its Python, this program's plugins, the disk."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.provision.made import read_made
from edgedyno.agent.provision.pinning import choose_steps
from edgedyno.agent.provision.pythons import Interpreter, find_interpreter, interpreters
from edgedyno.agent.survey import SurveyError
from edgedyno.core.errors import ConfigError, RunError, UnsupportedError
from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedyno.core.environment import EnvironmentProfile
    from edgedyno.core.run import Environment

# While pip unpacks a wheel the wheel itself lies beside it, a third of its size and less.
SPACE_FACTOR = 1.5
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")


def check_name(name: str, state_dir: Path, taken: Sequence[Environment]) -> None:
    """Raise ConfigError where a name cannot be used or is not free."""
    if not _NAME.match(name):
        text = f"found the name {name!r}, expected letters, digits, '-', '_' and '.', a letter or digit first"
        raise ConfigError(text, code="environment.name")
    named = {each.name: each.python for each in taken} | {"default": sys.executable}
    if name in named:
        text = f"the name {name!r} is taken by {named[name]} of the configuration; choose another with --as"
        raise ConfigError(text, code="environment.name")
    for made in read_made(state_dir):
        if made.name == name:
            raise ConfigError(
                f"{name} is there already ({made.entry} {made.version}, Python {made.python_version}); "
                f"`edgedyno agent runtimes remove {name}` first, or choose another name with --as",
                code="environment.name",
            )


def check_plugins(entry: EnvironmentProfile) -> None:
    """Raise UnsupportedError where this program could not use what the entry gives."""
    missing = sorted(set(entry.runtimes) - {plugin.name for plugin in find_plugins()})
    if missing:
        text = f"{entry.id}: this installation has no plugin for {', '.join(missing)}"
        raise UnsupportedError(text, code="environment.plugin")


def choose_interpreter(entry: EnvironmentProfile, python: str | None) -> Interpreter:
    """Return the Python to make it with. Raises ConfigError, naming one that would do, or UnsupportedError."""
    try:
        interpreter = find_interpreter(python)
        choose_steps(entry, interpreter.version, interpreter.architecture)
    except SurveyError as error:
        raise RunError(str(error), code="environment.python") from error
    except ConfigError as error:
        if python is not None:
            raise
        raise ConfigError(str(error) + _others(entry), code=error.code) from error
    if interpreter.lacks:
        version = interpreter.version
        text = f"{interpreter.path} has no {' and '.join(interpreter.lacks)}: sudo apt install python{version}-venv"
        raise ConfigError(text, code="environment.python")
    return interpreter


def _others(entry: EnvironmentProfile) -> str:
    """Name a Python of this machine that would do."""
    versions = {version for pins in entry.pins for version in pins.python}
    found = interpreters(sorted(versions, key=lambda version: -int(version[2:])))
    return (
        f" ({found[0].path} is here)"
        if found
        else " (none of them is on PATH; `uv python install` brings one)"
    )


def check_space(entry: EnvironmentProfile, folder: Path) -> None:
    """Raise RunError where the disk has no room for an entry."""
    free = shutil.disk_usage(folder).free
    wanted = entry.installed * SPACE_FACTOR
    if free < wanted:
        text = f"{entry.id}: found {format_bytes(free)} free at {folder}, expected {format_bytes(wanted)}"
        raise RunError(
            f"{text}; free some, or choose another place with --state-dir", code="environment.disk"
        )
