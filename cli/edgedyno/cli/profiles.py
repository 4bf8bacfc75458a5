"""`edgedyno results show TRIAL --profile`: how long each operator of a trial takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgedyno.cli.output import print_json, print_table, say, stdout
from edgedyno.core.errors import ConfigError
from edgedyno.core.operators import by_precision, by_type, longest_first, whole_seconds
from edgedyno.core.precision import name_precision
from edgedyno.core.result import OperatorProfile
from edgedyno.core.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedyno.core.result import Result

FOLDER = "profiles"
NAME_WIDTH = 34  # so that a row has 80 columns; the end of a name tells more than its beginning


def show_profiles(
    results: Sequence[Result], *, read: Callable[[str], bytes], top: int, as_json: bool
) -> None:
    """Print the profiles of results of one trial; raise ConfigError where there is none, with the reason."""
    found = [(result, _read(result, read)) for result in results]
    profiles = [(result, profile) for result, profile in found if profile is not None]
    if not profiles:
        raise ConfigError(_why_none(results[0]), code="profile.missing")
    if as_json:
        print_json([profile for _, profile in profiles])
        return
    for result, profile in profiles:
        _print(result, profile, top)


def read_from_folder(folder: Path) -> Callable[[str], bytes]:
    """Return a reader of the profiles that `edgedyno run` wrote into its folder."""

    def read(sha256: str) -> bytes:
        path = folder / FOLDER / f"{sha256}.json"
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}", code="profile.missing") from error

    return read


def _read(result: Result, read: Callable[[str], bytes]) -> OperatorProfile | None:
    if result.profile_sha256 is None:
        return None
    return msgspec.json.decode(read(result.profile_sha256), type=OperatorProfile)


def _why_none(result: Result) -> str:
    reason = (
        result.profile_reason or "the job did not ask for one; `measure: {profile: true}` in its file does"
    )
    return f"trial {result.trial} has no profile by operator: {reason}"


def _print(result: Result, profile: OperatorProfile, top: int) -> None:
    whole = whole_seconds(profile)
    threads = f"{result.threads} thread{'s' if result.threads != 1 else ''}"
    say(f"{result.trial}: {name_precision(result)} on {result.runtime}, {threads}; {_beside(result, whole)}")
    say(f"source: {profile.source}, mean of {profile.inferences} inferences")
    operators = longest_first(profile)
    rows = [
        (_shorten(each.name), each.type, each.precision, format_seconds(each.seconds), f"{share:.1%}")
        for each, share in operators[:top]
    ]
    print_table("", ("operator", "type", "precision", ">time", ">share"), rows)
    if len(operators) > top:
        rest = sum(share for _, share in operators[top:])
        say(f"and {len(operators) - top} more, {rest:.1%} of the time; --top N shows more")
    for title, totals in (("by type", by_type(profile)), ("by precision", by_precision(profile))):
        stdout().print()
        print_table(
            "",
            (title, ">operators", ">time", ">share"),
            [(each.name, each.count, format_seconds(each.seconds), f"{each.share:.1%}") for each in totals],
        )


def _beside(result: Result, whole: float) -> str:
    """Set the operators' sum beside the latency that was measured without a profile."""
    text = f"operators take {format_seconds(whole)} together"
    if result.latency_seconds is None:
        return text
    return f"{text}, the median without profiling is {format_seconds(result.latency_seconds.p50)}"


def _shorten(name: str) -> str:
    return name if len(name) <= NAME_WIDTH else "…" + name[1 - NAME_WIDTH :]
