"""What a reader has to know beside the answer: flips, precisions that did not run as named, gaps, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.labels import runtime_name
from edgedyno.controller.lab.verdict.phrases import all_of, in_brackets, sentences
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
            why = result.effective_precision_detail or ""
            found.setdefault((result.precision.upper(), ran), {}).setdefault(runtime_name(result), why)
    return [note for (asked, ran), where in found.items() for note in _ran_as(asked, ran, where)]


def _ran_as(asked: str, ran: str, where: dict[str, str]) -> list[str]:
    gain = say("no gain to expect from it here") if ran == "fp32" else ""
    if len(where) < MANY_RUNTIMES:
        told = [(in_brackets(runtime, why), "") for runtime, why in where.items()]
    else:
        told = [(all_of(list(where)), say("`results show TRIAL` tells what each did."))]
    return [
        sentences(
            say(
                "{asked} ran as {ran} on {runtime}: {gain}.", asked=asked, ran=ran, runtime=runtime, gain=gain
            )
            if gain
            else say("{asked} ran as {ran} on {runtime}.", asked=asked, ran=ran, runtime=runtime),
            more,
        )
        for runtime, more in told
    ]


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
                say(
                    "The choice flips: {precision} is faster than {other} at {faster}, slower at {slower}.",
                    precision=precision.upper(),
                    other=other.upper(),
                    faster=all_of(faster),
                    slower=all_of(slower),
                )
            )
    return notes


def accuracy_notes(recommended: Result | None, require: Require) -> list[str]:
    """Say what the recommendation rests on where the job sets no limit for accuracy."""
    if recommended is None or require.accuracy is not None or require.accuracy_drop is not None:
        return []
    if recommended.accuracy is None:
        reason = recommended.accuracy_reason or say("it was not measured")
        return [say("Accuracy did not enter this answer: {reason}.", reason=reason)]
    drop = recommended.accuracy_drop
    if drop is None or drop.value < WORTH_NAMING:
        return []
    lost = quantities.format_points(drop.value)
    if drop.low is None or drop.high is None:
        return [
            say("The recommended trial loses {lost} of accuracy; the job sets no limit for that.", lost=lost)
        ]
    interval = quantities.format_interval(drop.low, drop.high, quantities.format_points)
    return [
        say(
            "The recommended trial loses {lost} of accuracy ({interval}); the job sets no limit for that.",
            lost=lost,
            interval=interval,
        )
    ]


def validity_notes(results: list[Result]) -> list[str]:
    """Count what is void, and medians that stayed wider than asked for."""
    void = [result for result in results if result.status == "ok" and not result.validity.valid]
    notes = []
    # Where all of them are void the answer itself says so.
    if void and any(result.status == "ok" and result.validity.valid for result in results):
        reasons = all_of(quantities.merge_alike(void_reason(result) for result in void))
        notes.append(
            say("1 trial is void and not ranked: {reasons}.", reasons=reasons)
            if len(void) == 1
            else say("{count} trials are void and not ranked: {reasons}.", count=len(void), reasons=reasons)
        )
    return notes


def simulation_notes(results: list[Result]) -> list[str]:
    """Say what simulated trials are good for."""
    names = dict.fromkeys(runtime_name(result) for result in results if is_simulated(result))
    if not names:
        return []
    return [
        say(
            "{runtimes} simulates: its accuracy counts, its speed is not known and not ranked.",
            runtimes=all_of(list(names)),
        )
    ]


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
    note = say(
        "The inference is not the longest part: preparing an image takes {before} here and decoding the output "
        "{after}, together {times} the inference of {trial} ({inference}); end to end {total}, the sum of the "
        "three medians.",
        before=write(before.p50),
        after=write(after.p50),
        times=quantities.format_times(beside / latency.p50),
        trial=choice.label,
        inference=write(latency.p50),
        total=write(choice.end_to_end_seconds),
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
    return say(
        "Sustained load turns the order round: {fresh} is faster at first ({first}), {sustained} at the last "
        "({last}). The ranking goes by the last.",
        fresh=flip.fresh,
        first=first,
        sustained=flip.sustained,
        last=last,
    )


def _pair(seconds: float, other_seconds: float) -> str:
    write = quantities.format_seconds
    return say("{setting} against {other}", setting=write(seconds), other=write(other_seconds))


def _settings(group: list[Comparison], conclusion: str, *, runtime: bool) -> list[str]:
    return [
        say("{setting} of {runtime}", setting=item.setting, runtime=item.runtime) if runtime else item.setting
        for item in group
        if item.conclusion == conclusion and item.setting == item.other_setting
    ]
