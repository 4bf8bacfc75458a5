"""What measuring a trial came to, whatever the requirements say of it: settled, open, out of the race, void.

The words say why, and how much more measuring would settle what is not settled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.objectives import figure_of
from edgedyno.controller.lab.verdict.phrases import one_by_one
from edgedyno.controller.lab.verdict.ratios import HOPELESS_FACTOR
from edgedyno.core.result import NOT_TRIED, SIMULATED

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import RatioInterval, State
    from edgedyno.controller.lab.verdict.ratios import SampleBook
    from edgedyno.core.result import Result


class Standing(NamedTuple):
    """A trial's state, the reason for it in words, and the seconds of measuring that would settle it."""

    state: State
    text: str
    more_seconds: float | None = None


def standing_of(result: Result, ratio: RatioInterval | None, *, margin: float, book: SampleBook) -> Standing:
    """Say what measuring the trial came to; `ratio` is the one to the recommended trial."""
    if result.status != "ok":
        return _without_numbers(result)
    if is_simulated(result):
        return Standing("not settled", say("no latency: {reason}", reason=result.latency_seconds_reason))
    if not result.validity.valid:
        return Standing("void", void_reason(result))
    if result.eliminated:
        return Standing("eliminated", say("beaten beyond doubt"))
    if result.settled is False:
        return _not_settled(result, ratio, margin, book)
    return Standing("settled", "")


def is_not_tried(result: Result) -> bool:
    """Tell whether a search left the trial out."""
    return result.failure is not None and result.failure.code == NOT_TRIED


def is_simulated(result: Result) -> bool:
    """Tell whether the trial ran where its time means nothing: for its accuracy alone."""
    reason = result.latency_seconds_reason or ""
    return result.status == "ok" and result.latency_seconds is None and reason.startswith(SIMULATED)


def void_reason(result: Result) -> str:
    """Say what disturbed the trial; how many rounds it was comes last."""
    reasons = sorted(result.validity.reasons, key=lambda reason: "rounds were void" in reason)
    return one_by_one(reasons) or say("the run calls itself invalid")


def _without_numbers(result: Result) -> Standing:
    failure = result.failure
    text = failure.text if failure else say("no reason was given")
    if is_not_tried(result):
        return Standing("not tried", text)
    return Standing("failed" if result.status == "failed" else "skipped", text)


def _not_settled(result: Result, ratio: RatioInterval | None, margin: float, book: SampleBook) -> Standing:
    width = _half_width(result)
    if width is None:
        reason = result.latency_seconds_reason or say("too few samples for an interval")
        return Standing("not settled", reason)
    asked = quantities.format_percent(margin)
    what = say("{reached} instead of ±{asked}", reached=_half(width, margin), asked=asked)
    if width <= margin:
        width = (ratio.high - ratio.low) / 2 / ratio.value if ratio and ratio.paired else width
        if width <= margin:
            return Standing("not settled", say("time was up first"))
        reached = _half(width, margin)
        what = say(
            "its ratio to the best is known to {reached} instead of ±{asked}", reached=reached, asked=asked
        )
    factor = (width / margin) ** 2 if margin > 0 else float("inf")
    if factor > HOPELESS_FACTOR:
        return Standing("not settled", say("{what}; no reasonable time would do", what=what))
    more = max(book.spent_seconds(result) * (factor - 1), 1.0)
    text = say("{what}; about {seconds} s more needed", what=what, seconds=quantities.format_count(more))
    return Standing("not settled", text, more)


def _half(width: float, margin: float) -> str:
    """Write a half-width, with a digit more where it would read like the one that was asked for."""
    words = quantities.format_percent(width)
    return f"±{width * 100:.3g} %" if words == quantities.format_percent(margin) else f"±{words}"


def _half_width(result: Result) -> float | None:
    figure = figure_of(result)
    if figure is None or figure.low is None or figure.high is None or figure.value <= 0:
        return None
    return (figure.high - figure.low) / 2 / figure.value
