"""From an entry of the catalogue, a Python and perhaps a version to what pip is to install; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from edgedyno.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.core.environment import EnvironmentProfile, InstallStep, Pins


def choose_steps(
    entry: EnvironmentProfile, python: str, architecture: str, version: str | None = None
) -> list[InstallStep]:
    """Return the steps of pip for a Python, with the main package at `version` where one is given.

    Raises UnsupportedError where there are no pins for this architecture, ConfigError where another Python
    would do.
    """
    here = [pins for pins in entry.pins if architecture in pins.architectures]
    if not here:
        others = sorted({each for pins in entry.pins for each in pins.architectures})
        text = f"{entry.id}: found the architecture {architecture}, expected {' or '.join(others)}"
        raise UnsupportedError(f"{text}: there are no packages for others", code="environment.architecture")
    for pins in here:
        if python in pins.python:
            return [_at_version(step, entry, version) for step in pins.steps]
    known = pythons(here)
    raise ConfigError(
        f"{entry.id}: found no pins for Python {python} on {architecture}, expected one of {', '.join(known)}; "
        f"the nearest is --python {nearest_python(python, known)}",
        code="environment.python",
    )


def pythons(pins: Iterable[Pins]) -> list[str]:
    """Return every Python version that is pinned, in order."""
    return sorted({each for one in pins for each in one.python}, key=_minor)


def nearest_python(python: str, known: Iterable[str]) -> str:
    """Return the known version nearest to `python`, of two the newer."""
    return min(known, key=lambda each: (abs(_minor(each) - _minor(python)), -_minor(each)))


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def main_version(entry: EnvironmentProfile, steps: Iterable[InstallStep]) -> str:
    """Return the version of the entry's main package, as people write it."""
    for step in steps:
        for requirement in step.packages:
            name, _, version = requirement.partition("==")
            if _same(name, entry.package):
                return version.removeprefix(entry.version_prefix)
    raise ConfigError(f"{entry.id}: no step installs {entry.package}", code="environment.catalogue")


def _at_version(step: InstallStep, entry: EnvironmentProfile, version: str | None) -> InstallStep:
    if version is None:
        return step
    full = version if version.startswith(entry.version_prefix) else entry.version_prefix + version
    packages = [
        f"{name}=={full}" if _same(name := each.partition("==")[0], entry.package) else each
        for each in step.packages
    ]
    return structs.replace(step, packages=packages)


def _same(one: str, other: str) -> bool:
    return one.partition("[")[0].lower().replace("_", "-") == other.lower().replace("_", "-")
