"""What a reader has to know beside the answer: flips, precisions that did not run as named, gaps, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.labels import runtime_name

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Comparison
    from edgedyno.core.job import Require
    from edgedyno.core.result import Result


# What would be written as 0 pt.
WORTH_NAMING = 0.0005


def effective_precision_notes(results: list[Result]) -> list[str]:
    """Name each precision that a runtime did not run as such, once for each runtime."""
    notes = []
    for result in results:
        ran = result.effective_precision
        if result.status != "ok" or ran is None or ran == result.precision:
            continue
        why = f" ({result.effective_precision_reason})" if result.effective_precision_reason else ""
        note = f"{result.precision.upper()} ran as {ran} on {runtime_name(result)}{why}"
        notes.append(f"{note}: no gain to expect from it here." if ran == "fp32" else f"{note}.")
    return list(dict.fromkeys(notes))


def flip_notes(comparisons: list[Comparison]) -> list[str]:
    """Say where the same two precisions change places with the setting."""
    notes = []
    by_pair: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in comparisons:
        by_pair.setdefault((comparison.precision, comparison.other_precision), []).append(comparison)
    several = len({comparison.runtime for comparison in comparisons}) > 1
    for (precision, other), group in by_pair.items():
        faster = _settings(group, "faster", runtime=several)
        slower = _settings(group, "slower", runtime=several)
        if faster and slower:
            notes.append(
                f"The choice flips: {precision.upper()} is faster than {other.upper()} at "
                f"{_join(faster)}, slower at {_join(slower)}."
            )
    return notes


def accuracy_notes(recommended: Result | None, require: Require) -> list[str]:
    """Say what the recommendation rests on where the job sets no limit for accuracy."""
    if recommended is None or require.accuracy is not None or require.accuracy_drop is not None:
        return []
    if recommended.accuracy is None:
        reason = recommended.accuracy_reason or "it was not measured"
        return [f"Accuracy did not enter this answer: {reason}."]
    drop = recommended.accuracy_drop
    if drop is None or drop.value < WORTH_NAMING:
        return []
    interval = ""
    if drop.low is not None and drop.high is not None:
        span = quantities.format_interval(drop.low, drop.high, quantities.format_points)
        interval = f" ({span})"
    lost = quantities.format_points(drop.value)
    return [f"The recommended trial loses {lost} of accuracy{interval}; the job sets no limit for that."]


def validity_notes(results: list[Result]) -> list[str]:
    """Count what is void, and medians that stayed wider than asked for."""
    void = [result for result in results if result.status == "ok" and not result.validity.valid]
    notes = []
    if void:
        reasons = _join(list(dict.fromkeys(reason for result in void for reason in result.validity.reasons)))
        notes.append(f"{_count(len(void), 'trial is', 'trials are')} void and not ranked: {reasons}.")
    return notes


def describe_confidence(results: list[Result], *, level: float, margin: float) -> str:
    """Say how sure the answer is and what could not be checked."""
    measured = [r for r in results if r.latency_seconds is not None and r.validity.valid]
    open_ones = sum(result.settled is False and not result.eliminated for result in measured)
    share = quantities.format_percent(margin)
    together = f"All intervals of ratios hold together at {quantities.format_level(level)}"
    parts = [together, f"differences below {share} count as none"]
    if open_ones:
        parts.append(f"{open_ones} of {len(measured)} medians did not reach ±{share} in the time given")
    gaps = list(dict.fromkeys(gap for result in measured for gap in result.validity.not_checkable))
    if gaps:
        parts.append(f"not checkable on this board: {', '.join(gaps)}")
    return "; ".join(parts) + "."


def _settings(group: list[Comparison], conclusion: str, *, runtime: bool) -> list[str]:
    return [
        f"{item.setting} of {item.runtime}" if runtime else item.setting
        for item in group
        if item.conclusion == conclusion and item.setting == item.other_setting
    ]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
