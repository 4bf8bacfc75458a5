"""INT8 against FP16 against FP32 on the same runtime: at the best of each, and at the same settings."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.labels import (
    describe_setting,
    runtime_name,
    varying_settings,
)
from edgedyno.controller.lab.verdict.model import Comparison, RatioInterval
from edgedyno.controller.lab.verdict.objectives import seconds_of
from edgedyno.controller.lab.verdict.ratios import (
    LEVEL,
    SampleBook,
    conclude,
    measure_ratio,
    seconds_to_settle,
)
from edgedyno.core.precision import name_precision

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
    where = ours if ours == theirs else f"{ours} against {theirs}"
    where = f"{comparison.runtime}, {where}" if runtime else where
    return f"best of each: {where}" if comparison.kind == "best" else where


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
        text=compare_in_words(name_precision(pair.trial), name_precision(pair.other), ratio, margin),
        more_seconds=seconds_to_settle(ratio, margin),
    )


def compare_in_words(trial: str, other: str, ratio: RatioInterval | None, margin: float) -> str:
    """Say what a ratio shows, such as `INT8 is 1.33 times slower than FP32 (95 % interval 1.30 to 1.36)`."""
    if ratio is None:
        return f"cannot tell {trial} from {other}: there are no samples to compare"
    conclusion = conclude(ratio, margin)
    if conclusion == "slower":
        return f"{trial} is {_times(ratio.value, ratio.low, ratio.high, 'slower than', other)}{_how(ratio)}"
    if conclusion == "faster":
        inverse = (1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
        return f"{trial} is {_times(*inverse, 'faster than', other)}{_how(ratio)}"
    span = f"{quantities.format_level(LEVEL)} interval {ratio.low:.3f} to {ratio.high:.3f}"
    found = f"ratio {ratio.value:.3f} ({span})"
    share = quantities.format_percent(margin)
    if conclusion == "no difference shown":
        return f"no difference of {share} or more between {trial} and {other}: {found}"
    more = seconds_to_settle(ratio, margin)
    settle = f"; about {quantities.format_count(more)} s more would settle it" if more else ""
    return f"cannot tell yet whether {trial} and {other} differ by {share}: {found}{_how(ratio)}{settle}"


def _times(value: float, low: float, high: float, word: str, other: str) -> str:
    level = quantities.format_level(LEVEL)
    if value < TIMES_FROM:
        span = f"{(low - 1) * 100:.1f} to {(high - 1) * 100:.1f} %"
        return f"{(value - 1) * 100:.1f} % {word} {other} ({level} interval {span})"
    return f"{value:.2f} times {word} {other} ({level} interval {low:.2f} to {high:.2f})"


def _how(ratio: RatioInterval) -> str:
    return "" if ratio.paired else ", not measured side by side"
