"""Where the time of an inference goes: a profile by operator, summed up by type and by precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.core.result import OperatorProfile, OperatorTime


class Total(Struct, frozen=True):
    """Operators that have something in common."""

    name: str
    count: int
    seconds: float
    """Per inference."""
    share: float
    """Of all operators' time."""


def whole_seconds(profile: OperatorProfile) -> float:
    """Return the time of all operators in one inference."""
    return sum(each.seconds for each in profile.operators)


def by_type(profile: OperatorProfile) -> list[Total]:
    """Return the totals of each type of operator, the longest first."""
    return _totals(profile, lambda each: each.type)


def by_precision(profile: OperatorProfile) -> list[Total]:
    """Return the totals of each precision, the longest first."""
    return _totals(profile, lambda each: each.precision)


def longest_first(profile: OperatorProfile) -> list[tuple[OperatorTime, float]]:
    """Return the operators with their shares, the longest first."""
    whole = whole_seconds(profile) or 1.0
    ordered = sorted(profile.operators, key=lambda each: -each.seconds)
    return [(each, each.seconds / whole) for each in ordered]


def _totals(profile: OperatorProfile, key: Callable[[OperatorTime], str]) -> list[Total]:
    whole = whole_seconds(profile) or 1.0
    groups: dict[str, list[float]] = {}
    for each in profile.operators:
        groups.setdefault(key(each), []).append(each.seconds)
    totals = [Total(name, len(group), sum(group), sum(group) / whole) for name, group in groups.items()]
    return sorted(totals, key=lambda total: -total.seconds)
