"""The catalogue of environments: read from the packaged profiles; which entry gives a runtime, and what it needs.

Imports nothing of the fleet half: measuring may ask it too.
"""

from __future__ import annotations

import functools
import importlib.resources
from pathlib import Path

from edgedyno.core.document import decode_yaml, nearest
from edgedyno.core.environment import EnvironmentProfile
from edgedyno.core.errors import ConfigError

_PACKAGE = "edgedyno.profiles"


@functools.cache
def catalogue() -> tuple[EnvironmentProfile, ...]:
    """Return every environment that can be made, by id."""
    folder = importlib.resources.files(_PACKAGE) / "environments"
    entries = [
        decode_yaml(file.read_text("utf-8"), EnvironmentProfile, file=file.name)
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    ]
    return tuple(sorted(entries, key=lambda entry: entry.id))


def find_entry(name: str) -> EnvironmentProfile:
    """Return one entry. Raises ConfigError, naming the nearest, where there is none of that name."""
    entries = {entry.id: entry for entry in catalogue()}
    if name not in entries:
        text = f"found no environment {name!r} in the catalogue, expected one of {', '.join(entries)}"
        raise ConfigError(text + nearest(name, entries), code="environment.unknown")
    return entries[name]


def entries_giving(runtime: str) -> list[EnvironmentProfile]:
    """Return the entries that give a runtime, the usual one first."""
    found = [entry for entry in catalogue() if runtime in entry.runtimes]
    return sorted(found, key=lambda entry: (entry.id != runtime, entry.id))


def modules_of(runtime: str) -> list[list[str]]:
    """Return the sets of modules of which one has to be there for a runtime; empty where nothing is known."""
    named = [{**entry.other_builds, **entry.runtimes} for entry in catalogue()]
    return [list(modules[runtime]) for modules in named if runtime in modules]


def is_other_build(runtime: str) -> bool:
    """Tell whether a runtime comes only with another build of a package than the usual one."""
    return any(runtime in entry.other_builds for entry in catalogue())


def how_to_add(runtime: str, architecture: str, root: Path = Path("/")) -> str:
    """Say in a few words what it takes to have a runtime here."""
    entries = entries_giving(runtime)
    lacking = [entry.device.name for entry in entries if entry.device and not has_device(entry, root)]
    fitting = [entry for entry in entries if fits(entry, architecture)]
    usable = [entry for entry in fitting if has_device(entry, root)]
    if usable:
        return f"edgedyno agent runtimes add {usable[0].id}"
    if lacking:
        return f"it needs {lacking[0]}, and found none"
    return f"there is no package for {architecture}" if entries else "docs/runtimes.md says how to add it"


def fits(entry: EnvironmentProfile, architecture: str) -> bool:
    """Tell whether the entry has pins for an architecture."""
    return any(architecture in pins.architectures for pins in entry.pins)


def has_device(entry: EnvironmentProfile, root: Path = Path("/")) -> bool:
    """Tell whether the hardware that the entry needs is here."""
    return entry.device is None or any((root / path).exists() for path in entry.device.paths)
