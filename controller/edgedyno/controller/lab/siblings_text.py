"""Comparisons of boards of one type in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import retell, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.controller.lab.siblings import Comparison, Outlier

_MOST_NAMED = 4
_INDENT = "  "
_CONDITIONS_THAT_SAY_IT = "temperature"


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Return what is to be said about a fleet, or one line that says that nothing stands out."""
    for outlier in comparison.outliers:
        yield from outlier_lines(outlier)
    if not comparison.outliers and comparison.compared:
        yield say(
            "no board stands out among its siblings: {count} boards compared, at most {error} of such "
            "comparisons name one wrongly",
            count=len(comparison.compared),
            error=f"{comparison.family_error:.0%}",
        )
    for board, reason in comparison.alone.items():
        yield say("{board} is not compared: {reason}", board=board, reason=reason)


def outlier_lines(outlier: Outlier) -> Iterator[str]:
    """Return a finding: what, by how much, against whom, and what differs."""
    yield _headline(outlier)
    shown = outlier.differs
    if outlier.quantity == "temperature":
        shown = [each for each in shown if each.condition != _CONDITIONS_THAT_SAY_IT]
    for each in shown:
        yield _INDENT + say(
            "differs: {condition} {here}, siblings {siblings}",
            condition=each.condition,
            here=each.here,
            siblings=_between(each.siblings),
        )
    if not shown:
        yield _INDENT + say("nothing that is recorded differs: look at cooling, supply and the board itself")


def _between(values: list[str]) -> str:
    if len(values) <= _MOST_NAMED:
        return say(", ").join(map(retell, values))
    some = say(", ").join(map(retell, values[:_MOST_NAMED]))
    return say("{some} and {count} others", some=some, count=len(values) - _MOST_NAMED)


def _headline(outlier: Outlier) -> str:
    names = {
        "board": outlier.board,
        "siblings": len(outlier.siblings),
        "type": outlier.type,
        "trials": outlier.trials,
        "of_trials": outlier.of_trials,
    }
    if outlier.quantity == "throttling":
        return say(
            "{board} throttles while its {siblings} siblings do not ({type}; in {trials} of {of_trials} trials)",
            **names,
        )
    difference, low, high = (each or 0.0 for each in (outlier.difference, outlier.low, outlier.high))
    if outlier.quantity == "temperature":
        return say(
            "{board} is {difference} °C hotter than its {siblings} siblings, at {here} °C "
            "({low} to {high} °C; {type})",
            difference=f"{difference:.0f}",
            low=f"{low:.0f}",
            high=f"{high:.0f}",
            here=f"{outlier.here or 0.0:.0f}",
            **names,
        )
    shares = {"difference": f"{difference:.1%}", "low": f"{low:.1%}", "high": f"{high:.1%}"}
    if outlier.quantity == "energy":
        return say(
            "{board} takes {difference} more energy than its {siblings} siblings "
            "({low} to {high}; {type}; in {trials} of {of_trials} trials)",
            **names,
            **shares,
        )
    return say(
        "{board} is {difference} slower than its {siblings} siblings "
        "({low} to {high}; {type}; in {trials} of {of_trials} trials)",
        **names,
        **shares,
    )
