"""An environment of the catalogue: what to install for which Python, what that gives, and what was tried."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from edgedyno.core.profile import Name
from edgedyno.core.units import Bytes

Architecture = Literal["x86_64", "aarch64"]
PythonVersion = Annotated[str, Meta(pattern=r"^3\.\d+$")]
Requirement = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\[\]-]*==[A-Za-z0-9_.+!-]+$")]
Modules = Annotated[list[str], Meta(min_length=1)]


class InstallStep(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call of pip."""

    packages: Annotated[list[Requirement], Meta(min_length=1)]
    """Each at one version."""
    no_deps: bool = False
    """Whether what the packages themselves ask for is left out."""


class Pins(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to install, in order, for these Pythons on these architectures."""

    python: Annotated[list[PythonVersion], Meta(min_length=1)]
    architectures: Annotated[list[Architecture], Meta(min_length=1)]
    steps: Annotated[list[InstallStep], Meta(min_length=1)]


class Tried(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the pins were installed from a registry and what they give did its work."""

    python: PythonVersion
    architecture: Architecture
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class Device(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Hardware without which the runtime is of no use."""

    name: str
    paths: Annotated[list[str], Meta(min_length=1)]
    """Any of these shows it, below the root, without a leading slash."""


class EnvironmentProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One environment that `edgedyno agent runtimes add` can make."""

    id: Name
    summary: str
    package: str
    """The one that gives it its name; `--version` replaces its pin."""
    version_prefix: str = ""
    """What the package writes before the version that people know."""
    runtimes: dict[str, Modules] = {}
    """Runtimes that it gives, by name; the modules that each needs."""
    other_builds: dict[str, Modules] = {}
    """Runtimes that only other builds of the package give; the modules behind which each may be."""
    builds: dict[str, Modules] = {}
    """Formats of variants that can be built with it; the modules that each needs."""
    installed: Bytes
    """Rough size on disk."""
    pins: Annotated[list[Pins], Meta(min_length=1)]
    tested: list[Tried] = []
    not_tested: str
    """What nobody has tried, in words."""
    device: Device | None = None
    hint: str | None = None
    """What the doctor adds where the runtime is not here; one line of a terminal."""
    notes: list[str] = []
    """What a user has to know before or after."""
