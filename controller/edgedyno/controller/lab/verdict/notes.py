"""What a reader has to know beside the answer: flips, precisions that did not run as named, gaps, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.labels import runtime_name
from edgedyno.controller.lab.verdict.states import is_simulated, void_reason
from edgedyno.core.precision import ran_otherwise
from edgedyno.core.scenario import rank_flips

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice, Comparison
    from edgedyno.core.job import Require
    from edgedyno.core.result import Result, Soak
    from edgedyno.core.scenario import Flip


MANY_RUNTIMES = 3  # what each of so many did in detail would bury the rest
# What would be written as 0 pt.
WORTH_NAMING = 0.0005


def effective_precision_notes(results: list[Result]) -> list[str]:
    """Name each precision that a runtime did not run as such, once for each runtime; many of them in one note."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for result in results:
        ran = ran_otherwise(result)
        if result.status == "ok" and ran is not None:
            why = f" ({result.effective_precision_detail})" if result.effective_precision_detail else ""
            found.setdefault((result.precision.upper(), ran), {}).setdefault(runtime_name(result), why)
    return [note for (asked, ran), where in found.items() for note in _ran_as(asked, ran, where)]


def _ran_as(asked: str, ran: str, where: dict[str, str]) -> list[str]:
    gain = ": no gain to expect from it here." if ran == "fp32" else "."
    if len(where) < MANY_RUNTIMES:
        return [f"{asked} ran as {ran} on {runtime}{why}{gain}" for runtime, why in where.items()]
    return [f"{asked} ran as {ran} on {_join(list(where))}{gain} `results show TRIAL` tells what each did."]


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
    # Where all of them are void the answer itself says so.
    if void and any(result.status == "ok" and result.validity.valid for result in results):
        reasons = quantities.merge_alike(void_reason(result) for result in void)
        notes.append(
            f"{count_of(len(void), 'trial is', 'trials are')} void and not ranked: {_join(reasons)}."
        )
    return notes


def simulation_notes(results: list[Result]) -> list[str]:
    """Say what simulated trials are good for."""
    names = dict.fromkeys(runtime_name(result) for result in results if is_simulated(result))
    if not names:
        return []
    return [f"{_join(list(names))} simulates: its accuracy counts, its speed is not known and not ranked."]


def stage_notes(choices: list[Choice]) -> list[str]:
    """Say where preparing an image and decoding the output take longer than the inference between them.

    Of the recommended trial, or else of the fastest that was measured.
    """
    timed = [choice for choice in choices if choice.end_to_end_seconds is not None and choice.state != "void"]
    if not timed:
        return []
    choice = timed[0]
    before, after, latency = choice.preprocess_seconds, choice.postprocess_seconds, choice.latency_seconds
    if before is None or after is None or latency is None or choice.end_to_end_seconds is None:
        return []
    beside = before.p50 + after.p50
    if beside <= latency.p50:
        return []
    write = quantities.format_seconds
    note = (
        f"The inference is not the longest part: preparing an image takes {write(before.p50)} here and decoding "
        f"the output {write(after.p50)}, together {quantities.format_times(beside / latency.p50)} the inference "
        f"of {choice.label} ({write(latency.p50)}); end to end {write(choice.end_to_end_seconds)}, the sum of "
        f"the three medians."
    )
    return [note]


def soak_notes(results: list[Result], labels: dict[str, str]) -> list[str]:
    """Name the trials that change places between the first and the last minutes of a soak."""
    soaks = {
        labels[result.trial]: result.soak
        for result in results
        if result.soak is not None and result.validity.valid
    }
    return [_turned(flip, soaks[flip.fresh], soaks[flip.sustained]) for flip in rank_flips(soaks)]


def _turned(flip: Flip, fresh: Soak, sustained: Soak) -> str:
    first = _pair(fresh.first_p50, sustained.first_p50)
    last = _pair(sustained.last_p50, fresh.last_p50)
    return (
        f"Sustained load turns the order round: {flip.fresh} is faster at first ({first}), "
        f"{flip.sustained} at the last ({last}). The ranking goes by the last."
    )


def _pair(seconds: float, other_seconds: float) -> str:
    write = quantities.format_seconds
    return f"{write(seconds)} against {write(other_seconds)}"


def _settings(group: list[Comparison], conclusion: str, *, runtime: bool) -> list[str]:
    return [
        f"{item.setting} of {item.runtime}" if runtime else item.setting
        for item in group
        if item.conclusion == conclusion and item.setting == item.other_setting
    ]


def _join(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def count_of(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
