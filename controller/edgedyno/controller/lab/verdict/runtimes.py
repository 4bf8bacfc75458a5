"""Runtime against runtime: the trial to deploy against the best of each other runtime, whatever its precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict.comparisons import compare_in_words, corrected_level
from edgedyno.controller.lab.verdict.labels import describe_setting, precision_in_words, varying_settings
from edgedyno.controller.lab.verdict.model import RuntimeComparison
from edgedyno.controller.lab.verdict.objectives import seconds_of
from edgedyno.controller.lab.verdict.ranking import fastest
from edgedyno.controller.lab.verdict.ratios import SampleBook, conclude, measure_ratio, seconds_to_settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.result import Result

_Engine = tuple[str, str | None]


def compare_runtimes(
    candidates: Sequence[Result], recommended: Result | None, book: SampleBook, *, margin: float
) -> list[RuntimeComparison]:
    """Compare with the best of each other runtime, the nearest first; the intervals hold together at LEVEL.

    `candidates` are those that may be deployed: a runtime's fast but wrong trial is not its best. Without a
    recommended one the fastest of all stands in its place.
    """
    groups: dict[_Engine, list[Result]] = {}
    for result in candidates:
        if result.latency_seconds is not None:
            groups.setdefault((result.runtime, result.runtime_version), []).append(result)
    bests = {engine: fastest(group, book) for engine, group in groups.items()}
    if len(bests) < 2:  # noqa: PLR2004 - one runtime has none to be compared with
        return []
    leader = recommended or fastest(list(bests.values()), book)
    others = sorted((best for engine, best in bests.items() if engine != _engine(leader)), key=seconds_of)
    level = corrected_level(len(others))
    varying = varying_settings([leader, *others])
    names = _names([leader, *others])
    return [_compare(leader, other, book, margin, level, varying, names) for other in others]


def _engine(result: Result) -> _Engine:
    return result.runtime, result.runtime_version


def _names(results: Sequence[Result]) -> dict[_Engine, str]:
    """Name each runtime, with its version where two versions of it are compared."""
    engines = [_engine(result) for result in results]
    several = {name for name, _ in engines if sum(name == other for other, _ in engines) > 1}
    return {
        (name, version): f"{name} {version or say('of no version')}" if name in several else name
        for name, version in engines
    }


def _compare(
    leader: Result,
    other: Result,
    book: SampleBook,
    margin: float,
    level: float,
    varying: set[str],
    names: dict[_Engine, str],
) -> RuntimeComparison:
    ratio = measure_ratio(leader, other, book, level=level)
    ours, theirs = names[_engine(leader)], names[_engine(other)]
    first = say("{runtime} in {what}", runtime=ours, what=_what(leader, varying))
    second = say("the best of {runtime}, {what}", runtime=theirs, what=_what(other, varying))
    return RuntimeComparison(
        trial=leader.trial,
        other=other.trial,
        runtime=ours,
        other_runtime=theirs,
        ratio=ratio,
        conclusion=conclude(ratio, margin),
        text=compare_in_words(first, second, ratio, margin),
        more_seconds=seconds_to_settle(ratio, margin),
    )


def _what(result: Result, varying: set[str]) -> str:
    words = precision_in_words(result)
    setting = describe_setting(result, varying=varying)
    return say("{precision} at {setting}", precision=words, setting=setting) if varying else words
