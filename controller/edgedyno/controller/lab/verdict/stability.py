"""With what the choice changes: the number of threads, the version of a runtime, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.model import Stability
from edgedyno.controller.lab.verdict.phrases import all_of, in_brackets, listed
from edgedyno.core.scenario import rank_flips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.controller.lab.verdict.model import Choice, Comparison, Verdict
    from edgedyno.core.result import Result, Soak
    from edgedyno.core.scenario import Flip

_Pair = tuple[str, str]


def find_flips(
    results: Sequence[Result], comparisons: Sequence[Comparison], labels: dict[str, str]
) -> list[Stability]:
    """Return what one run shows of it."""
    by_trial = {result.trial: result for result in results}
    return [
        *_thread_flips(comparisons),
        *_version_flips(comparisons, by_trial),
        *_soak_flips(results, labels),
    ]


def compare_with_earlier(verdict: Verdict, earlier: Verdict) -> list[Stability]:
    """Say whether an earlier run of the same job chose otherwise; nothing where either does not tell the two apart."""
    ours, theirs = _chosen(verdict), _chosen(earlier)
    if ours is None or theirs is None or _key(ours) == _key(theirs):
        return []
    tied = {_key(choice) for choice in verdict.choices if choice.trial in verdict.as_fast}
    tied_before = {_key(choice) for choice in earlier.choices if choice.trial in earlier.as_fast}
    if _key(theirs) in tied and _key(ours) in tied_before:
        return []
    words = {
        "job": earlier.job,
        "before": in_brackets(theirs.label, theirs.figure),
        "now": in_brackets(ours.label, ours.figure),
    }
    changed = _changed_version(verdict, earlier)
    if changed:
        text = say(
            "The choice changed with the runtime's version ({versions}): job {job} chose {before}, this one {now}.",
            versions=changed,
            **words,
        )
        return [Stability("runtime_version", text, [theirs.label, ours.label])]
    text = say("The choice changed with time: job {job} chose {before}, this one {now}.", **words)
    return [Stability("time", text, [theirs.label, ours.label])]


def _thread_flips(comparisons: Sequence[Comparison]) -> list[Stability]:
    """Find two precisions that change places with the setting, and name the runtime where there are several."""
    several = len({comparison.runtime for comparison in comparisons}) > 1
    flips = []
    for (precision, other), group in _by_pair(comparisons).items():
        faster = [
            item for item in group if item.conclusion == "faster" and item.setting == item.other_setting
        ]
        slower = [
            item for item in group if item.conclusion == "slower" and item.setting == item.other_setting
        ]
        if not faster or not slower:
            continue
        text = say(
            "The choice flips: {precision} is faster than {other} at {faster}, slower at {slower}.",
            precision=precision.upper(),
            other=other.upper(),
            faster=all_of([_where(item, runtime=several) for item in faster]),
            slower=all_of([_where(item, runtime=several) for item in slower]),
        )
        flips.append(Stability("threads", text, [faster[0].trial, slower[0].trial]))
    return flips


def _where(item: Comparison, *, runtime: bool) -> str:
    if not runtime:
        return item.setting
    return say("{setting} of {runtime}", setting=item.setting, runtime=item.runtime)


def _by_pair(comparisons: Sequence[Comparison]) -> dict[_Pair, list[Comparison]]:
    by_pair: dict[_Pair, list[Comparison]] = {}
    for comparison in comparisons:
        by_pair.setdefault((comparison.precision, comparison.other_precision), []).append(comparison)
    return by_pair


def _version_flips(comparisons: Sequence[Comparison], by_trial: dict[str, Result]) -> list[Stability]:
    """Find two precisions, each at its best, that change places between two versions of one runtime."""
    flips = []
    for (precision, other), group in _by_pair(comparisons).items():
        engines: dict[str, list[Comparison]] = {}
        for item in group:
            if item.kind == "best" and item.conclusion in {"faster", "slower"}:
                engines.setdefault(by_trial[item.trial].runtime, []).append(item)
        for items in engines.values():
            faster = [item for item in items if item.conclusion == "faster"]
            slower = [item for item in items if item.conclusion == "slower"]
            if faster and slower:
                text = say(
                    "The choice flips with the runtime's version: at the best of each, {precision} is faster than "
                    "{other} on {faster}, slower on {slower}.",
                    precision=precision.upper(),
                    other=other.upper(),
                    faster=all_of([item.runtime for item in faster]),
                    slower=all_of([item.runtime for item in slower]),
                )
                flips.append(Stability("runtime_version", text, [faster[0].trial, slower[0].trial]))
    return flips


def _soak_flips(results: Sequence[Result], labels: dict[str, str]) -> list[Stability]:
    """Name the trials that change places between the first and the last minutes of a soak."""
    soaks = {
        result.trial: result.soak for result in results if result.soak is not None and result.validity.valid
    }
    return [
        Stability("time", _turned(flip, soaks, labels), [flip.fresh, flip.sustained])
        for flip in rank_flips(soaks)
    ]


def _turned(flip: Flip, soaks: dict[str, Soak], labels: dict[str, str]) -> str:
    fresh, sustained = soaks[flip.fresh], soaks[flip.sustained]
    return say(
        "Sustained load turns the order round: {fresh} is faster at first ({first}), {sustained} at the last "
        "({last}). The ranking goes by the last.",
        fresh=labels[flip.fresh],
        first=_pair(fresh.first_p50, sustained.first_p50),
        sustained=labels[flip.sustained],
        last=_pair(sustained.last_p50, fresh.last_p50),
    )


def _pair(seconds: float, other_seconds: float) -> str:
    write = quantities.format_seconds
    return say("{setting} against {other}", setting=write(seconds), other=write(other_seconds))


def _chosen(verdict: Verdict) -> Choice | None:
    return next((choice for choice in verdict.choices if choice.trial in verdict.recommended), None)


def _key(choice: Choice) -> tuple[object, ...]:
    """Name what is deployed; a version is no part of it, nor is the file, which a new build may change."""
    return (
        choice.precision,
        choice.variant,
        choice.format,
        choice.runtime,
        choice.threads,
        choice.cores,
        choice.batch,
    )


def _changed_version(verdict: Verdict, earlier: Verdict) -> str:
    """Name the versions of each runtime that are not those of the earlier verdict."""
    now, before = _versions(verdict), _versions(earlier)
    changed = [name for name in now if name in before and now[name] != before[name]]
    return listed(
        say(
            "{runtime} {before}, then {now}",
            runtime=name,
            before=all_of(sorted(before[name])),
            now=all_of(sorted(now[name])),
        )
        for name in changed
    )


def _versions(verdict: Verdict) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for choice in verdict.choices:
        if choice.runtime_version:
            found.setdefault(choice.runtime, set()).add(choice.runtime_version)
    return found
