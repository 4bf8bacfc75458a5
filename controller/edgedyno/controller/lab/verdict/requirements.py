"""Hold a trial against the job's requirements.

A requirement on something that was not measured is never passed silently: it is undecided, with its reason. A
fast wrong model must never win: where a job limits neither accuracy nor its drop, a collapse still rejects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import phrase, say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.measured import QUANTITIES, Measured, Quantity
from edgedyno.controller.lab.verdict.model import Judgement, Outcome
from edgedyno.controller.lab.verdict.phrases import in_brackets, listed
from edgedyno.controller.lab.verdict.settling import BY_IMAGES, settle_in_words

if TYPE_CHECKING:
    from edgedyno.core.job import Require
    from edgedyno.core.result import Result

# A public INT8 export of YOLOX-nano fell from 0.322 to 0.032 mAP; a loss of half is no trade any more.
COLLAPSE_SHARE = 0.5
_OPEN = phrase("{quantity} is not shown to hold: {found}")
_CLEAR = phrase("{quantity} {found}")


def judge_requirements(result: Result, require: Require) -> list[Judgement]:
    """Judge each declared requirement, in the order of the job specification's fields."""
    judgements = [
        _judge(quantity, limit, result)
        for quantity in QUANTITIES
        if (limit := getattr(require, quantity.name)) is not None
    ]
    if require.accuracy is None and require.accuracy_drop is None:
        judgements += _collapse(result)
    return judgements


def _judge(quantity: Quantity, limit: float, result: Result) -> Judgement:
    found = quantity.read(result)
    if found.value is None:
        return _judge_unknown(quantity, limit, found)
    outcome = _outcome(quantity, limit, found)
    undecided = outcome == "undecided"
    text = _describe(quantity, limit, found)
    settle, images = None, None
    if undecided and found.low is not None and found.high is not None:
        bounds = (found.value, found.low, found.high)
        settle, images = settle_in_words(quantity.name, limit, bounds, result)
    template = _OPEN if undecided else _CLEAR
    return Judgement(
        requirement=quantity.name,
        limit=limit,
        outcome=outcome,
        value=found.value,
        text=say(template, quantity=say(quantity.title), found=text),
        excess_ratio=_excess(quantity, limit, found.value) if outcome == "violated" else None,
        settle=settle,
        more_images=images,
    )


def _judge_unknown(quantity: Quantity, limit: float, found: Measured) -> Judgement:
    least = found.at_least
    if least is not None and quantity.sense == "at most" and least > limit:
        text = say(
            "{quantity} is unknown, but {part} alone takes at least {least}, limit {limit}",
            quantity=say(quantity.title),
            part=found.at_least_name,
            least=quantity.write(least),
            limit=quantity.write(limit),
        )
        excess = _excess(quantity, limit, least)
        return Judgement(quantity.name, limit, "violated", None, text, excess_ratio=excess)
    text = say("{quantity} cannot be judged: {reason}", quantity=say(quantity.title), reason=found.reason)
    return Judgement(quantity.name, limit, "undecided", None, text, settle=found.settle)


def _outcome(quantity: Quantity, limit: float, found: Measured) -> Outcome:
    value = found.value
    if value is None:
        return "undecided"
    sign = 1 if quantity.sense == "at most" else -1
    if not quantity.by_interval:
        return "met" if sign * (limit - value) >= 0 else "violated"
    if found.low is None or found.high is None:
        return "undecided"
    best, worst = (found.low, found.high) if sign > 0 else (found.high, found.low)
    if sign * (limit - worst) >= 0:
        return "met"
    return "violated" if sign * (limit - best) < 0 else "undecided"


def _describe(quantity: Quantity, limit: float, found: Measured) -> str:
    if found.value is None:
        return found.reason
    text = quantity.write(found.value)
    if found.low is not None and found.high is not None:
        if found.high > found.low:
            text = in_brackets(text, quantities.format_interval(found.low, found.high, quantity.write))
    elif quantity.by_interval:
        text = in_brackets(text, say("without an interval"))
    return listed([in_brackets(text, found.scope), _against(quantity, limit, found.value)])


def _against(quantity: Quantity, limit: float, value: float) -> str:
    """Name the limit, and how far the value is beyond it."""
    beyond = value - limit if quantity.sense == "at most" else limit - value
    if beyond <= 0:
        return say("limit {limit}", limit=quantity.write(limit))
    points = quantity.name in BY_IMAGES or limit == 0
    distance = quantities.format_points(beyond) if points else quantities.format_percent(beyond / abs(limit))
    if quantity.sense == "at most":
        return say("{distance} above the limit of {limit}", distance=distance, limit=quantity.write(limit))
    return say("{distance} below the limit of {limit}", distance=distance, limit=quantity.write(limit))


def _excess(quantity: Quantity, limit: float, value: float) -> float | None:
    if limit == 0:
        return None
    return (value - limit if quantity.sense == "at most" else limit - value) / abs(limit)


def _collapse(result: Result) -> list[Judgement]:
    """Reject a trial that is shown to have lost at least half of what FP32 scores."""
    accuracy, drop = result.accuracy, result.accuracy_drop
    if accuracy is None or drop is None or drop.low is None or drop.high is None or drop.value <= 0:
        return []
    reference = accuracy.value + drop.value
    limit = COLLAPSE_SHARE * reference
    if drop.low < limit:
        return []
    interval = quantities.format_interval(drop.low, drop.high, quantities.format_points)
    text = say(
        "accuracy collapsed: {metric} {value} against FP32's {reference}, a drop of {drop} ({interval}); the job "
        "sets no limit, but half or more is lost",
        metric=accuracy.metric,
        value=quantities.format_ratio(accuracy.value),
        reference=quantities.format_ratio(reference),
        drop=quantities.format_points(drop.value),
        interval=interval,
    )
    excess = (drop.value - limit) / limit
    return [Judgement("accuracy_collapse", limit, "violated", drop.value, text, excess_ratio=excess)]
