"""What decides between deployments that meet every requirement, beside speed: energy, power, accuracy, memory, size.

Speed is what the scenario ranks by (`objectives`); here is everything else, as costs that are better when lower.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.measured import QUANTITIES, Measured, agreement_of
from edgedyno.controller.lab.verdict.objectives import Figure, best_of, objective_of, with_interval
from edgedyno.controller.lab.verdict.phrases import listed, one_by_one
from edgedyno.core.result import Bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.core.job import Goal
    from edgedyno.core.result import Result


class Criterion(NamedTuple):
    """What decides in one verdict, and below what share differences count as none."""

    goal: Goal
    aim: Aim | None
    """None where speed decides."""
    margin: float

    def best(self, scenario: str) -> str:
        """Say what the first of the ranking is."""
        if self.aim is not None:
            return say(self.aim.best)
        if self.goal == "throughput":
            return say("the highest throughput")
        return best_of(scenario)

    def figure(self, result: Result) -> str:
        """Write what ranks a trial, with its interval."""
        if self.aim is not None:
            return self.aim.describe(result)
        speed = objective_of(result).write(result)
        rate = result.throughput_per_second
        if self.goal != "throughput" or rate is None or result.scenario.startswith("throughput"):
            return speed
        return listed([quantities.format_rate(rate), speed])


SPEED: tuple[Goal, ...] = ("latency", "throughput")
# Scores closer than this (0.1 pt) are no ground for preferring one trial.
SAME_ACCURACY = 0.001


@dataclass(frozen=True)
class Aim:
    """One goal that is not speed."""

    name: Goal
    title: str
    """Template of the quantity's name."""
    best: str
    """Template of what the first of the ranking is."""
    read: Callable[[Result], Measured]
    write: Callable[[float], str]
    lower_is_better: bool = True
    tolerance: float | None = 0.0
    """Differences up to it count as none, as a share; as they are where scores are compared; None: the margin."""

    def reason(self, result: Result) -> str:
        """Say why the goal's quantity is not known of a trial; empty where it is."""
        found = self.read(result)
        if found.value is not None:
            return ""
        return say(
            "{quantity} decides here and is not known: {reason}",
            quantity=say(self.title),
            reason=found.reason,
        )

    def figure(self, result: Result) -> Figure | None:
        """Return the quantity as a cost, lower being better."""
        found = self.read(result)
        if found.value is None:
            return None
        if self.lower_is_better:
            return Figure(found.value, found.low, found.high)
        return Figure(-found.value, _negative(found.high), _negative(found.low))

    def cost(self, result: Result) -> float:
        """Return the cost by estimate, infinite where it is not known."""
        figure = self.figure(result)
        return figure.value if figure else math.inf

    def bounds(self, result: Result) -> Bounded | None:
        """Return the quantity as it is."""
        found = self.read(result)
        return None if found.value is None else Bounded(found.value, found.low, found.high)

    def describe(self, result: Result) -> str:
        """Write the quantity with its interval, and the speed beside it."""
        speed = objective_of(result).write(result)
        figure = self.bounds(result)
        if figure is None:
            return speed
        found = Figure(figure.value, figure.low, figure.high)
        if figure.low == figure.high:
            found = Figure(figure.value, None, None)
        words = say("{quantity} {figure}", quantity=say(self.title), figure=with_interval(found, self.write))
        return one_by_one([words, speed])

    def is_worse(self, result: Result, other: Result, margin: float) -> bool:
        """Tell whether a trial is shown to be worse than another; where intervals touch it is not."""
        ours, theirs = self.figure(result), self.figure(other)
        if ours is None or theirs is None or _same_file(result, other, self.name):
            return False
        share = margin if self.tolerance is None else self.tolerance
        least = ours.value if ours.low is None else ours.low
        most = theirs.value if theirs.high is None else theirs.high
        if self.name == "accuracy":
            return least - most > SAME_ACCURACY
        return least > most * (1 + share)

    def is_no_worse(self, result: Result, other: Result, margin: float) -> bool:
        """Tell whether a trial is shown to be no worse than another, by more than what counts as none."""
        ours, theirs = self.figure(result), self.figure(other)
        if ours is None or theirs is None:
            return False
        if _same_file(result, other, self.name):
            return True
        most = ours.value if ours.high is None else ours.high
        least = theirs.value if theirs.low is None else theirs.low
        if self.name == "accuracy":
            return most - least <= SAME_ACCURACY
        return most <= least * (1 + (margin if self.tolerance is None else self.tolerance))

    def compare(self, result: Result, other: Result) -> str:
        """Write a trial's quantity beside the recommended one's."""
        return say(
            "{quantity} {figure} against {other}",
            quantity=say(self.title),
            figure=self._short(result),
            other=self._short(other),
        )

    def _short(self, result: Result) -> str:
        bounds = self.bounds(result)
        if bounds is None:
            return say("not measured")
        if bounds.low is None or bounds.high is None or bounds.low == bounds.high:
            return self.write(bounds.value)
        interval = quantities.format_interval(bounds.low, bounds.high, self.write)
        return say("{text} ({beside})", text=self.write(bounds.value), beside=interval)


def aim_of(goal: Goal, results: Sequence[Result]) -> Aim | None:
    """Return what decides other than speed; None where speed does. Without any label accuracy is agreement."""
    if goal in SPEED:
        return None
    if goal == "accuracy":
        return accuracy_aim(results)
    return energy_aim(results) if goal == "energy" else _AIMS[goal]


def energy_aim(results: Sequence[Result]) -> Aim:
    """Return energy of the scope that most trials have: a package is not compared with a wall socket."""
    scopes = Counter(
        one.energy_joules_per_inference.scope for one in results if one.energy_joules_per_inference
    )
    if len(scopes) < 2:  # noqa: PLR2004 - with one scope all can be compared
        return _AIMS["energy"]
    common = scopes.most_common(1)[0][0]

    def read(result: Result) -> Measured:
        energy = result.energy_joules_per_inference
        if energy is None or energy.scope == common:
            return _of("energy")(result)
        reason = say(
            "energy of {scope} is not compared with energy of {other}", scope=energy.scope, other=common
        )
        return Measured(None, reason=reason)

    return replace(_AIMS["energy"], read=read)


def accuracy_aim(results: Sequence[Result]) -> Aim:
    """Return accuracy, compared by its drop where FP32 ran on the same images; agreement where there are no labels."""
    scored = [result for result in results if result.accuracy is not None]
    if not scored:
        return _AGREEMENT
    paired = all(result.accuracy_drop is not None or result.precision == "fp32" for result in scored)
    return _DROP if paired and any(result.accuracy_drop for result in scored) else _ACCURACY


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _same_file(result: Result, other: Result, goal: Goal) -> bool:
    """Tell whether two trials have the goal's quantity in common: threads change neither file nor predictions."""
    if result.variant_sha256 is None or result.variant_sha256 != other.variant_sha256:
        return False
    engines = {(one.runtime, one.runtime_version) for one in (result, other)}
    return goal == "size" or (goal == "accuracy" and len(engines) == 1)


def _of(name: str) -> Callable[[Result], Measured]:
    return next(quantity.read for quantity in QUANTITIES if quantity.name == name)


def _drop_if_scored(result: Result) -> Measured:
    return _of("accuracy")(result) if result.accuracy is None else _of("accuracy_drop")(result)


_AIMS: dict[str, Aim] = {
    "energy": Aim(
        "energy",
        phrase("energy per inference"),
        phrase("the lowest energy per inference"),
        _of("energy"),
        quantities.format_joules,
        tolerance=None,
    ),
    "power": Aim(
        "power",
        phrase("power"),
        phrase("the lowest power"),
        _of("power"),
        quantities.format_watts,
        tolerance=None,
    ),
    "memory": Aim(
        "memory",
        phrase("memory"),
        phrase("the smallest memory"),
        _of("memory"),
        quantities.format_bytes,
        tolerance=None,
    ),
    "size": Aim(
        "size", phrase("file size"), phrase("the smallest file"), _of("size"), quantities.format_bytes
    ),
}
_DROP = Aim(
    "accuracy",
    phrase("accuracy drop"),
    phrase("the highest accuracy"),
    _drop_if_scored,
    quantities.format_points,
)
_ACCURACY = Aim(
    "accuracy",
    phrase("accuracy"),
    phrase("the highest accuracy"),
    _of("accuracy"),
    quantities.format_ratio,
    lower_is_better=False,
)
_AGREEMENT = Aim(
    "accuracy",
    phrase("agreement with FP32"),
    phrase("the highest agreement with FP32"),
    agreement_of,
    quantities.format_percent,
    lower_is_better=False,
)
