"""Which trials nothing beats by latency, energy and accuracy together, as far as intervals show it.

Every valid trial that was measured takes part, whatever the requirements say of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict.comparisons import corrected_level
from edgedyno.controller.lab.verdict.goals import SAME_ACCURACY, accuracy_aim, energy_aim
from edgedyno.controller.lab.verdict.model import Axis, Conclusion, ParetoPoint
from edgedyno.controller.lab.verdict.objectives import figure_of
from edgedyno.controller.lab.verdict.ratios import conclude, measure_ratio
from edgedyno.core.result import Bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.controller.lab.verdict.goals import Aim
    from edgedyno.controller.lab.verdict.ratios import SampleBook
    from edgedyno.core.result import Result

Sign = Literal["better", "no-worse", "worse", "unknown"]
_Compare = tuple["Callable[[Result, Result], Sign]", "Callable[[Result, Result], bool | None]"]


class Front(NamedTuple):
    """The axes that were measured, and every trial among them."""

    axes: list[Axis]
    points: list[ParetoPoint]


class _Scale(NamedTuple):
    """One axis: what intervals show of one trial against another, and which is better by estimate."""

    axis: Axis
    shown: Callable[[Result, Result], Sign]
    estimate: Callable[[Result, Result], int]
    """-1 where the first is better, 1 where it is worse."""


def find_front(
    results: Sequence[Result], labels: dict[str, str], book: SampleBook, *, margin: float
) -> Front:
    """Place each measured trial; an axis is one that every one of them has a value on, and two at least."""
    measured = [result for result in results if result.latency_seconds is not None and result.validity.valid]
    accuracy, energy = accuracy_aim(measured), energy_aim(measured)
    scales: list[_Scale] = []
    for axis, aim in ((_accuracy_axis(measured), accuracy), ("energy", energy)):
        if measured and all(aim.figure(result) for result in measured):
            scales.append(_aim_scale(axis, aim, margin))
    if len(measured) < 2 or not scales:  # noqa: PLR2004 - a front takes two of each
        return Front([], [])
    # Last, because ratios of raw samples cost the most.
    scales.append(_latency_scale(book, margin, pairs=len(measured) * (len(measured) - 1) // 2))
    points = [_point(result, measured, scales, labels) for result in measured]
    values = {result.trial: result for result in measured}
    known = {scale.axis for scale in scales}
    return Front(
        ["latency", *(scale.axis for scale in scales[:-1])],
        [_with_values(point, values[point.trial], known, accuracy, energy) for point in points],
    )


def _accuracy_axis(results: Sequence[Result]) -> Axis:
    return "accuracy" if any(result.accuracy for result in results) else "agreement"


def _point(
    result: Result, measured: Sequence[Result], scales: Sequence[_Scale], labels: dict[str, str]
) -> ParetoPoint:
    others = [other for other in measured if other is not result]
    shown = [other for other in others if _dominates(other, result, scales)]
    if shown:
        best = min(shown, key=_seconds)
        text = say("dominated by {trial}", trial=labels[best.trial])
        return ParetoPoint(result.trial, best.trial, certain=True, text=text)
    likely = [other for other in others if _seems_to_dominate(other, result, scales)]
    if likely:
        best = min(likely, key=_seconds)
        text = say("not shown to be dominated, though {trial} seems better", trial=labels[best.trial])
        return ParetoPoint(result.trial, best.trial, certain=False, text=text)
    certain = all(any(scale.shown(result, other) == "better" for scale in scales) for other in others)
    text = say("on the front") if certain else say("not shown to be dominated")
    return ParetoPoint(result.trial, None, certain=certain, text=text)


def _dominates(one: Result, other: Result, scales: Sequence[_Scale]) -> bool:
    better = False
    for scale in scales:
        sign = scale.shown(one, other)
        if sign in {"worse", "unknown"}:
            return False
        better = better or sign == "better"
    return better


def _seems_to_dominate(one: Result, other: Result, scales: Sequence[_Scale]) -> bool:
    signs = {scale.estimate(one, other) for scale in scales}
    return -1 in signs and 1 not in signs


def _latency_scale(book: SampleBook, margin: float, *, pairs: int) -> _Scale:
    level = corrected_level(pairs)

    concluded: dict[tuple[str, str], Conclusion] = {}

    def shown(one: Result, other: Result) -> Sign:
        pair = (one.trial, other.trial)
        if pair not in concluded:
            concluded[pair] = conclude(measure_ratio(one, other, book, level=level), margin)
        known: dict[str, Sign] = {"faster": "better", "slower": "worse", "no difference shown": "no-worse"}
        return known.get(concluded[pair], "unknown")

    return _Scale("latency", shown, lambda one, other: _sign(_seconds(one), _seconds(other), margin))


def _aim_scale(axis: Axis, aim: Aim, margin: float) -> _Scale:
    """Compare by intervals; trials of one file that share the quantity are equal, whatever its interval."""

    def shown(one: Result, other: Result) -> Sign:
        if aim.is_worse(one, other, margin):
            return "worse"
        if aim.is_worse(other, one, margin):
            return "better"
        return "no-worse" if aim.is_no_worse(one, other, margin) else "unknown"

    def estimate(one: Result, other: Result) -> int:
        if aim.name != "accuracy":
            return _sign(aim.cost(one), aim.cost(other), margin)
        distance = aim.cost(one) - aim.cost(other)
        return 0 if abs(distance) <= SAME_ACCURACY else (1 if distance > 0 else -1)

    return _Scale(axis, shown, estimate)


def _sign(one: float, other: float, margin: float) -> int:
    if one > other * (1 + margin):
        return 1
    return -1 if other > one * (1 + margin) else 0


def _seconds(result: Result) -> float:
    figure = figure_of(result)
    return figure.value if figure else float("inf")


def _with_values(
    point: ParetoPoint, result: Result, known: set[Axis], accuracy: Aim, energy: Aim
) -> ParetoPoint:
    figure = figure_of(result)
    score = result.accuracy
    right = Bounded(score.value, score.low, score.high) if score else accuracy.bounds(result)
    return ParetoPoint(
        point.trial,
        point.dominated_by,
        point.certain,
        point.text,
        latency_seconds=Bounded(figure.value, figure.low, figure.high) if figure else None,
        energy_joules=energy.bounds(result) if "energy" in known else None,
        accuracy=right if known & {"accuracy", "agreement"} else None,
    )
