"""Where the time of the best trial goes: its profile by operator, in shares of each type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.lab.language import retell, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.core.errors import EdgedynoError
from edgedyno.core.operators import by_type
from edgedyno.core.result import OperatorProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgedyno.controller.lab.verdict import Choice
    from edgedyno.core.result import Result

SHOWN = 8


@dataclass(frozen=True)
class Operators:
    """Types of operators of one trial, or why they are not known."""

    choice: Choice
    rows: list[tuple[str, int, str, float]]
    """Type, how many, their time in one inference, their percentage; the last row may be all others."""
    source: str
    reason: str


def describe_operators(
    best: Choice | None, results: Mapping[str, Result], read: Callable[[str], bytes]
) -> Operators | None:
    """Sum up the profile of the trial that the verdict is about; None where nobody asked for one."""
    result = results.get(best.trial) if best else None
    if best is None or result is None or (result.profile_sha256 is None and result.profile_reason is None):
        return None
    if result.profile_sha256 is None:
        return Operators(best, [], "", retell(result.profile_reason or ""))
    try:
        profile = msgspec.json.decode(read(result.profile_sha256), type=OperatorProfile)
    except (EdgedynoError, OSError, KeyError, msgspec.DecodeError) as error:
        return Operators(best, [], "", say("the profile cannot be read: {error}", error=error))
    return Operators(best, _rows(profile), profile.source, "")


def _rows(profile: OperatorProfile) -> list[tuple[str, int, str, float]]:
    totals = by_type(profile)
    rows = [
        (each.name, each.count, quantities.format_seconds(each.seconds), 100 * each.share)
        for each in totals[:SHOWN]
    ]
    rest = totals[SHOWN:]
    if rest:
        seconds, share = sum(each.seconds for each in rest), sum(each.share for each in rest)
        count = sum(each.count for each in rest)
        rows.append(
            (
                say("{count} other types", count=len(rest)),
                count,
                quantities.format_seconds(seconds),
                100 * share,
            )
        )
    return rows
