"""Makes and removes environments below the state directory; one that failed leaves nothing but its log.

A venv cannot be moved (its scripts name its interpreter), so it is made where it will stay and counts once its
stamp, written last, is there. What an interruption by force leaves is cleared by the next command.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edgedyno.agent.capabilities import agent_version
from edgedyno.agent.environments import probe_all
from edgedyno.agent.files import write_durably
from edgedyno.agent.provision.catalogue import find_entry, has_device
from edgedyno.agent.provision.checks import check_name, check_plugins, check_space, choose_interpreter
from edgedyno.agent.provision.installing import list_packages, make_venv, pip_install
from edgedyno.agent.provision.made import FOLDER, STAMP, Made, folder_of, python_of, read_made
from edgedyno.agent.provision.pinning import choose_steps, main_version
from edgedyno.agent.provision.progress import Progress
from edgedyno.agent.provision.work import Stop, Work
from edgedyno.agent.survey import SurveyError, import_modules
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError, EdgedynoError, RunError
from edgedyno.core.run import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedyno.agent.provision.pythons import Interpreter
    from edgedyno.core.board import RuntimeInfo
    from edgedyno.core.environment import EnvironmentProfile, InstallStep

_LOCK = ".lock"


class Order(Struct, frozen=True, kw_only=True):
    """What to make."""

    entry: str
    name: str
    version: str | None = None
    python: str | None = None
    pip_arguments: list[str] = []


def make_environment(
    order: Order, state_dir: Path, *, taken: Sequence[Environment] = ()
) -> tuple[Made, list[RuntimeInfo]]:
    """Make an environment and prove that it works; return its stamp and what was probed in it.

    `taken` are environments of the configuration, whose names are not free. Raises EdgedynoError, and
    KeyboardInterrupt when told to stop; either way nothing but the log is left.
    """
    entry = find_entry(order.entry)
    check_name(order.name, state_dir, taken)
    check_plugins(entry)
    interpreter = choose_interpreter(entry, order.python)
    steps = choose_steps(entry, interpreter.version, interpreter.architecture, order.version)
    folder = folder_of(state_dir, order.name)
    folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    check_space(entry, folder.parent)
    stop = Stop()
    with _locked(state_dir):
        clear_leftovers(state_dir)
        log_path = log_of(state_dir, order.name)
        log_path.parent.mkdir(mode=0o755, exist_ok=True)
        with log_path.open("wb") as log, _nothing_left(folder, log_path), stop.listening():
            _install(interpreter, steps, order, folder, Work(log, Progress(), stop))
            found = _prove(entry, order, state_dir)
            stop.check()
            made = _stamp(entry, order, interpreter, steps, folder)
    return made, found


def log_of(state_dir: Path, name: str) -> Path:
    """Return the file with everything that was said while an environment was made."""
    return state_dir / "environment-logs" / f"{name}.log"


def remove_environment(name: str, state_dir: Path) -> Made:
    """Remove an environment and its log. Raises ConfigError where there is none of that name."""
    made = {each.name: each for each in read_made(state_dir)}
    if name not in made:
        known = ", ".join(made) or "none"
        text = f"found no environment {name!r} in {state_dir / FOLDER}, expected one of {known}"
        raise ConfigError(text + nearest(name, made), code="environment.unknown")
    with _locked(state_dir):
        folder = folder_of(state_dir, name)
        # First the stamp: what is being removed is an environment no more.
        (folder / STAMP).unlink()
        shutil.rmtree(folder)
        log_of(state_dir, name).unlink(missing_ok=True)
    return made[name]


def clear_leftovers(state_dir: Path) -> list[str]:
    """Remove what interrupted commands left; the caller holds the lock. Return the names."""
    folder = state_dir / FOLDER
    found = [each for each in folder.iterdir() if each.is_dir() and not (each / STAMP).exists()]
    for each in found:
        shutil.rmtree(each, ignore_errors=True)
    return [each.name for each in found]


def _install(
    interpreter: Interpreter, steps: Sequence[InstallStep], order: Order, folder: Path, work: Work
) -> None:
    try:
        work.progress.step(f"making {folder.name} with Python {interpreter.version}")
        make_venv(interpreter.path, folder, work)
        python = str(folder / "bin" / "python")
        for number, step in enumerate(steps, start=1):
            place = f" ({number} of {len(steps)})" if len(steps) > 1 else ""
            work.progress.step(f"installing {_shown(step)}{place}")
            pip_install(python, step, order.pip_arguments, work, folder / "scratch")
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        work.progress.step(f"trying {folder.name} with a model")
    finally:
        work.progress.end()


def _shown(step: InstallStep) -> str:
    first, rest = step.packages[:3], len(step.packages) - 3
    return ", ".join(first) + (f" and {rest} more" if rest > 0 else "")


def _prove(entry: EnvironmentProfile, order: Order, state_dir: Path) -> list[RuntimeInfo]:
    """Run a model in each runtime, import what builds; raises RunError where something does not work."""
    python = str(python_of(state_dir, order.name))
    found: list[RuntimeInfo] = []
    if entry.runtimes:
        names = sorted(entry.runtimes)
        found = [
            info
            for info in probe_all([Environment(order.name, python, names)])
            if info.name in entry.runtimes
        ]
    problems = [
        f"{info.name}: {info.reason if info.environment else 'not installed'}"
        for info in found
        if not info.available
    ]
    if problems and not has_device(entry) and entry.device:
        problems.append(f"it needs {entry.device.name}, and found none")
    modules = sorted({module for modules in entry.builds.values() for module in modules})
    if modules and not problems:
        try:
            missing = import_modules(python, modules).missing
        except SurveyError as error:
            missing = {"its tools": str(error)}
        problems += [f"{module}: {reason}" for module, reason in missing.items()]
    if problems:
        raise RunError(
            f"installed, but it does not work here: {'; '.join(problems)}", code="environment.probe"
        )
    return found


def _stamp(
    entry: EnvironmentProfile,
    order: Order,
    interpreter: Interpreter,
    steps: Sequence[InstallStep],
    folder: Path,
) -> Made:
    made = Made(
        name=order.name,
        entry=entry.id,
        version=main_version(entry, steps),
        python_version=interpreter.version,
        architecture=interpreter.architecture,
        runtimes=sorted(entry.runtimes),
        builds=sorted(entry.builds),
        packages=list_packages(str(folder / "bin" / "python")),
        size_bytes=size_of(folder),
        made_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        agent_version=agent_version(),
    )
    write_durably(folder / STAMP, msgspec.json.format(msgspec.json.encode(made), indent=2))
    return made


def size_of(folder: Path) -> int:
    """Return what a folder takes on disk, in bytes."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += (Path(place) / file).lstat().st_blocks * 512
    return total


@contextlib.contextmanager
def _nothing_left(folder: Path, log: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, EdgedynoError):
            error.args = (f"{error}; nothing was left but the log {log}",)
        else:
            sys.stderr.write(f"stopped; nothing was left but the log {log}\n")
        raise


@contextlib.contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """Keep other commands away. Raises ConfigError at once where one is at work."""
    with (state_dir / FOLDER / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            text = f"another `edgedyno agent runtimes` is at work in {state_dir / FOLDER}; try again when it is done"
            raise ConfigError(text, code="environment.busy") from error
        yield
