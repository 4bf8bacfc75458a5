"""INT8 against FP16 against FP32 on the same runtime: at the best of each, and at the same settings."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.labels import (
    describe_setting,
    precision_in_words,
    runtime_name,
    varying_settings,
)
from edgedyno.controller.lab.verdict.model import Comparison, RatioInterval
from edgedyno.controller.lab.verdict.objectives import seconds_of
from edgedyno.controller.lab.verdict.phrases import listed, one_by_one
from edgedyno.controller.lab.verdict.ratios import (
    LEVEL,
    SampleBook,
    conclude,
    measure_ratio,
    seconds_to_settle,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedyno.core.result import Result

ORDER = ("int8", "fp16", "fp32")
# Below this a difference reads better in percent than in times.
TIMES_FROM = 1.10


class _Pair(NamedTuple):
    kind: Literal["best", "same"]
    trial: Result
    other: Result


def compare_precisions(results: Iterable[Result], book: SampleBook, *, margin: float) -> list[Comparison]:
    """Compare every two precisions of each runtime; the intervals hold together at LEVEL (Bonferroni)."""
    measured = [result for result in results if result.latency_seconds is not None]
    pairs = [pair for group in _by_runtime(measured).values() for pair in _pairs(group)]
    if not pairs:
        return []
    level = corrected_level(len(pairs))
    varying = varying_settings(measured)
    return [_compare(pair, book, margin, level, varying) for pair in pairs]


def settings_in_words(comparison: Comparison, *, runtime: bool) -> str:
    """Say at what settings two precisions were compared, with the runtime where there are several."""
    ours, theirs = comparison.setting, comparison.other_setting
    where = ours if ours == theirs else say("{setting} against {other}", setting=ours, other=theirs)
    where = listed([comparison.runtime, where]) if runtime else where
    return say("best of each: {setting}", setting=where) if comparison.kind == "best" else where


def corrected_level(comparisons: int) -> float:
    """Return the level of each interval so that all of a family hold together at LEVEL (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(comparisons, 1)


def _by_runtime(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((runtime_name(result), result.scenario), []).append(result)
    return groups


def _pairs(group: list[Result]) -> list[_Pair]:
    """Pair the fastest of each precision, then those that share every setting."""
    best: dict[str, Result] = {}
    for result in sorted(group, key=seconds_of):
        best.setdefault(result.precision, result)
    pairs = [_Pair("best", best[a], best[b]) for a, b in combinations(ORDER, 2) if a in best and b in best]
    known = {(pair.trial.trial, pair.other.trial) for pair in pairs}
    settings: dict[tuple[int, str, int], dict[str, Result]] = {}
    for result in group:
        settings.setdefault(_setting(result), {}).setdefault(result.precision, result)
    for _, cell in sorted(settings.items()):
        pairs += [
            _Pair("same", cell[a], cell[b])
            for a, b in combinations(ORDER, 2)
            if a in cell and b in cell and (cell[a].trial, cell[b].trial) not in known
        ]
    return pairs


def _setting(result: Result) -> tuple[int, str, int]:
    return (result.threads, result.cores, result.batch)


def _compare(pair: _Pair, book: SampleBook, margin: float, level: float, varying: set[str]) -> Comparison:
    ratio = measure_ratio(pair.trial, pair.other, book, level=level)
    return Comparison(
        kind=pair.kind,
        trial=pair.trial.trial,
        other=pair.other.trial,
        precision=pair.trial.precision,
        other_precision=pair.other.precision,
        runtime=runtime_name(pair.trial),
        setting=describe_setting(pair.trial, varying=varying),
        other_setting=describe_setting(pair.other, varying=varying),
        ratio=ratio,
        conclusion=conclude(ratio, margin),
        text=compare_in_words(precision_in_words(pair.trial), precision_in_words(pair.other), ratio, margin),
        more_seconds=seconds_to_settle(ratio, margin),
    )


def compare_in_words(trial: str, other: str, ratio: RatioInterval | None, margin: float) -> str:
    """Say what a ratio shows, such as `INT8 is 1.33 times slower than FP32 (95 % interval 1.30 to 1.36)`."""
    if ratio is None:
        return say(
            "cannot tell {trial} from {other}: there are no samples to compare", trial=trial, other=other
        )
    conclusion = conclude(ratio, margin)
    if conclusion in {"slower", "faster"}:
        difference = _difference(ratio, other, faster=conclusion == "faster")
        return say("{trial} is {difference}", trial=trial, difference=difference)
    found = say(
        "ratio {value:.3f} ({level} interval {low:.3f} to {high:.3f})",
        value=ratio.value,
        level=quantities.format_level(LEVEL),
        low=ratio.low,
        high=ratio.high,
    )
    words = {"trial": trial, "other": other, "share": quantities.format_percent(margin)}
    if conclusion == "no difference shown":
        return say(
            "no difference of {share} or more between {trial} and {other}: {found}", **words, found=found
        )
    text = say(
        "cannot tell yet whether {trial} and {other} differ by {share}: {found}",
        **words,
        found=_how(found, ratio),
    )
    more = seconds_to_settle(ratio, margin)
    if not more:
        return text
    settle = say("about {seconds} s more would settle it", seconds=quantities.format_count(more))
    return one_by_one([text, settle])


def against_recommended(ratio: RatioInterval | None, margin: float) -> str:
    """Say how a trial's speed compares with the recommended one's, without naming the trial."""
    other = say("the recommended one")
    conclusion = conclude(ratio, margin)
    if ratio is None or conclusion not in {"slower", "faster"}:
        return compare_in_words(say("it"), other, ratio, margin)
    return _difference(ratio, other, faster=conclusion == "faster")


def _difference(ratio: RatioInterval, other: str, *, faster: bool) -> str:
    value, low, high = (
        (1 / ratio.value, 1 / ratio.high, 1 / ratio.low) if faster else (ratio.value, ratio.low, ratio.high)
    )
    words = {"level": quantities.format_level(LEVEL), "other": other}
    if value < TIMES_FROM:
        words |= {
            name: f"{(one - 1) * 100:.1f}" for name, one in zip(_BOUNDS, (value, low, high), strict=True)
        }
        return _how(say(_PERCENT_FASTER if faster else _PERCENT_SLOWER, **words), ratio)
    words |= {name: f"{one:.2f}" for name, one in zip(_BOUNDS, (value, low, high), strict=True)}
    return _how(say(_TIMES_FASTER if faster else _TIMES_SLOWER, **words), ratio)


_BOUNDS = ("value", "low", "high")
_PERCENT_FASTER = phrase("{value} % faster than {other} ({level} interval {low} to {high} %)")
_PERCENT_SLOWER = phrase("{value} % slower than {other} ({level} interval {low} to {high} %)")
_TIMES_FASTER = phrase("{value} times faster than {other} ({level} interval {low} to {high})")
_TIMES_SLOWER = phrase("{value} times slower than {other} ({level} interval {low} to {high})")


def _how(text: str, ratio: RatioInterval) -> str:
    return text if ratio.paired else listed([text, say("not measured side by side")])
