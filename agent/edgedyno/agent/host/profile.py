"""Board profiles: what is known about a kind of board, as data, and which profile a board matches.

A profile adds what /sys cannot tell (which power rails add up, what lies). What /sys tells always wins.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from edgedyno.agent.host.read import is_there
from edgedyno.core.document import decode_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.agent.host.identity import Identity

GENERIC_ID = "generic"
_PACKAGE = "edgedyno.profiles"


class Match(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way to recognise a board: everything that is stated has to hold."""

    compatible: list[str] = []
    """Any of these entries of the device tree's `compatible`."""
    compatible_pattern: str | None = None
    """Found in an entry of `compatible`."""
    model_pattern: str | None = None
    """Found in the device tree's model, or in the Model line of /proc/cpuinfo."""
    cpu_parts: list[str] = []
    """Any of these ARM cores: implementer/part, as `0x48/0xd01`."""
    cpu_vendors: list[str] = []
    """Any of these vendor_id words of /proc/cpuinfo."""
    cpu_counts: list[int] = []
    dmi_vendors: list[str] = []
    dmi_product_pattern: str | None = None
    path_exists: str | None = None
    """Below the root, without a leading slash."""


class ExpectedCluster(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """CPUs of one kind, as the board's maker has them."""

    cpus: str
    core: str
    max_mhz: float | None = None


class Expect(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Facts to hold what is found against; `doctor` names the differences."""

    clusters: list[ExpectedCluster] = []
    cpu_counts: list[int] = []
    """How many CPUs models of this board have, where there are several; else the clusters tell."""
    features: list[str] = []
    memory: str | None = None


class PowerRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A power source that boards of this kind have, and how to read it rightly."""

    source: str
    scope: str
    total: list[str] = []
    """Rails that together are the scope. Empty: the source gives one value for the whole."""
    parts: dict[str, list[str]] = {}
    """Rails that are branches of another rail, by that rail: shown, never added to it."""
    note: str | None = None


class ThrottleRule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A source of throttling information that boards of this kind have."""

    source: str
    note: str | None = None


class Thermal(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Temperatures: which zones matter, which lie, and where the board slows down and stops."""

    zones: list[str] = []
    ignore: list[str] = []
    passive_celsius: list[float] = []
    critical_celsius: float | None = None


class BoardProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known about a kind of board."""

    id: str
    name: str
    match: list[Match]
    rank: int = 50
    """Profiles are tried in ascending order of rank, then of id."""
    expect: Expect = Expect()
    core_sets: dict[str, str] = {}
    """What a set of cores is good for, by its name; the sets themselves come from /sys."""
    power: list[PowerRule] = []
    throttle: list[ThrottleRule] = []
    thermal: Thermal = Thermal()
    runtimes: list[str] = []
    """Runtimes worth having on this board, the usual choice first."""
    traps: list[str] = []
    facts: dict[str, Any] = {}
    """Figures for people: memory bandwidth, accelerators, published latencies."""
    unconfirmed: bool = False
    """No public recording of such a board was seen."""
    hardware: str | None = None
    """What was run on such a board itself; None: only on recordings, or on nothing."""
    origin: list[str]
    """Where the facts come from."""

    def power_rule(self, source: str) -> PowerRule | None:
        """Return what the profile knows about a power source."""
        return next((rule for rule in self.power if rule.source == source), None)


@functools.cache
def board_profiles() -> tuple[BoardProfile, ...]:
    """Return all profiles, in the order in which they are tried."""
    folder = importlib.resources.files(_PACKAGE) / "boards"
    profiles = [
        decode_yaml(file.read_text("utf-8"), BoardProfile, file=file.name)
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    ]
    return tuple(sorted(profiles, key=lambda profile: (profile.rank, profile.id)))


def read_profile(name: str) -> BoardProfile:
    """Return one profile by its id, without reading the others. Raises FileNotFoundError for an unknown one."""
    file = importlib.resources.files(_PACKAGE) / "boards" / f"{name}.yaml"
    return decode_yaml(file.read_text("utf-8"), BoardProfile, file=file.name)


def match_profile(identity: Identity, root: Path) -> BoardProfile:
    """Return the first profile that matches; `generic` matches every board."""
    for profile in board_profiles():
        if any(matches(rule, identity, root) for rule in profile.match):
            return profile
    raise LookupError("the profile 'generic' is missing from edgedyno.profiles/boards")


def matches(rule: Match, identity: Identity, root: Path) -> bool:
    """Tell whether everything that `rule` states holds; a rule that states nothing matches every board."""
    return all(_checks(rule, identity, root))


def _checks(rule: Match, identity: Identity, root: Path) -> Iterator[bool]:
    if rule.compatible:
        yield not set(rule.compatible).isdisjoint(identity.compatible)
    if rule.compatible_pattern:
        yield any(re.search(rule.compatible_pattern, entry) for entry in identity.compatible)
    if rule.cpu_parts:
        yield not set(rule.cpu_parts).isdisjoint(identity.cpu_parts)
    for stated, found in (
        (rule.cpu_vendors, identity.cpu_vendor),
        (rule.cpu_counts, identity.cpu_count),
        (rule.dmi_vendors, identity.dmi_vendor),
    ):
        if stated:
            yield found in stated
    for pattern, text in (
        (rule.model_pattern, identity.model),
        (rule.dmi_product_pattern, identity.dmi_product),
    ):
        if pattern:
            yield re.search(pattern, text or "") is not None
    if rule.path_exists:
        yield is_there(root / rule.path_exists)
