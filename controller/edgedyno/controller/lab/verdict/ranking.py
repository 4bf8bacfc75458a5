"""Order the trials that meet the requirements, and choose among those that are as fast as far as shown.

"Fast" is what the scenario ranks by; see `objectives`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict.comparisons import corrected_level
from edgedyno.controller.lab.verdict.objectives import keep_deadlines_best, missed_ratio, seconds_of
from edgedyno.controller.lab.verdict.ratios import conclude, measure_ratio

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import RatioInterval
    from edgedyno.controller.lab.verdict.ratios import SampleBook
    from edgedyno.core.result import Result

# Scores closer than this (0.1 pt) are no ground for preferring one trial.
SAME_ACCURACY = 0.001


class Ranking(NamedTuple):
    """Candidates, the recommended one first, then by what the scenario ranks by."""

    order: list[Result]
    as_fast: list[Result]
    """Those besides the first that are not shown to be slower than the fastest, and are not by estimate."""
    preferred_for: str | None
    """Why the first was preferred over others that are as fast; None when there was nothing to choose."""
    late: list[Result]
    """Those shown to miss more deadlines than others do."""


def rank(candidates: list[Result], book: SampleBook, *, margin: float) -> Ranking:
    """Rank trials that have a latency; ties are broken by accuracy, file size and threads, in that order."""
    if not candidates:
        return Ranking([], [], None, [])
    level = corrected_level(len(candidates) - 1)
    punctual = keep_deadlines_best(candidates, level=level)
    leader = fastest(punctual, book)
    tied = [
        other
        for other in punctual
        if other is not leader and _as_fast(measure_ratio(other, leader, book, level=level), margin)
    ]
    chosen, ground = _prefer([leader, *tied])
    rest = [result for result in punctual if result is not chosen]
    late = [result for result in candidates if result not in punctual]
    as_fast = [result for result in [leader, *tied] if result is not chosen]
    order = [chosen, *sorted(rest, key=seconds_of), *sorted(late, key=_by_misses)]
    return Ranking(order, as_fast, ground, late)


def _by_misses(result: Result) -> tuple[float, float]:
    return (missed_ratio(result.deadlines) if result.deadlines else 0.0, seconds_of(result))


def fastest(candidates: list[Result], book: SampleBook) -> Result:
    """Return the fastest by ratios within shared blocks, which drift does not bend as it does medians."""
    leader = min(candidates, key=seconds_of)
    for _ in candidates:
        ratios = [(measure_ratio(other, leader, book, level=0.95), other) for other in candidates]
        paired = [
            (ratio.value, position)
            for position, (ratio, other) in enumerate(ratios)
            if ratio is not None and ratio.paired and other is not leader
        ]
        if not paired or min(paired)[0] >= 1:
            break
        leader = candidates[min(paired)[1]]
    return leader


def _as_fast(ratio: RatioInterval | None, margin: float) -> bool:
    return ratio is not None and conclude(ratio, margin) != "slower" and ratio.value <= 1 + margin


def _prefer(tied: list[Result]) -> tuple[Result, str | None]:
    """Choose by accuracy, then size, then threads, and name the ground that decided."""
    remaining, ground = tied, None
    if all(result.accuracy is not None for result in tied):
        best = max(_accuracy(result) for result in tied)
        remaining = [result for result in tied if _accuracy(result) >= best - SAME_ACCURACY]
        ground = say("its higher accuracy") if len(remaining) < len(tied) else None
    for name, word in (("size_bytes", phrase("its smaller file")), ("threads", phrase("its fewer threads"))):
        values = [getattr(result, name) for result in remaining]
        if len(remaining) > 1 and None not in values and len(set(values)) > 1:
            remaining = [result for result in remaining if getattr(result, name) == min(values)]
            ground = ground or say(word)
    return min(remaining, key=seconds_of), ground


def _accuracy(result: Result) -> float:
    return result.accuracy.value if result.accuracy else 0.0
