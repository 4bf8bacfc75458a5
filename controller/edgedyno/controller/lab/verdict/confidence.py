"""How sure the answer is, and what would settle what is open, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.lab.language import say
from edgedyno.controller.lab.verdict import quantities
from edgedyno.controller.lab.verdict.phrases import listed, one_by_one
from edgedyno.controller.lab.verdict.ratios import conclude, seconds_to_settle

if TYPE_CHECKING:
    from edgedyno.controller.lab.verdict.model import Choice
    from edgedyno.core.result import Result


def describe_confidence(choices: list[Choice], results: list[Result], *, level: float, margin: float) -> str:
    """Say how sure the answer is, what would settle what is open, and what could not be checked."""
    measured = [choice for choice in choices if choice.latency_seconds is not None and choice.state != "void"]
    if not measured and any(choice.state == "void" for choice in choices):
        return say(
            "No number here can be relied on: every trial that ran is void. `edgedyno agent doctor` says what "
            "disturbs this board; measure again when it is quiet."
        )
    share = quantities.format_percent(margin)
    parts = [
        say("All intervals of ratios hold together at {level}", level=quantities.format_level(level)),
        say("differences below {share} count as none", share=share),
    ]
    parts += _open_points(measured, share) + _ties(measured, margin)
    # Such as `clock: no cpufreq`: the check's name is enough here, the report tells the rest.
    gaps = dict.fromkeys(
        gap.partition(":")[0]
        for result in results
        if result.latency_seconds is not None and result.validity.valid
        for gap in result.validity.not_checkable
    )
    if gaps:
        parts.append(say("not checkable on this board: {checks}", checks=listed(gaps)))
    return say("{clauses}.", clauses=one_by_one(parts))


def _open_points(measured: list[Choice], share: str) -> list[str]:
    """Say how many trials are not settled, and how much more time would settle them."""
    open_ones = [choice for choice in measured if choice.state == "not settled"]
    if not open_ones:
        return []
    words = say(
        "{count} of {trials} trials are not settled to ±{share} in the time given",
        count=len(open_ones),
        trials=len(measured),
        share=share,
    )
    known = [choice.more_seconds for choice in open_ones if choice.more_seconds is not None]
    if len(known) < len(open_ones):
        return [words]
    more = quantities.format_count(sum(known))
    if len(known) == 1:
        return [say("{open}: about {seconds} s more of measuring would settle it", open=words, seconds=more)]
    return [say("{open}: about {seconds} s more of measuring would settle them", open=words, seconds=more)]


def _ties(measured: list[Choice], margin: float) -> list[str]:
    """Say what would tell the trials apart that may be as fast as the recommended one."""
    untold = [
        choice
        for choice in measured
        if choice.status == "acceptable"
        and choice.ratio
        and conclude(choice.ratio, margin) == "cannot tell yet"
    ]
    if not untold:
        return []
    needed = [seconds_to_settle(choice.ratio, margin) for choice in untold]
    known = [seconds for seconds in needed if seconds is not None]
    words = (
        say("1 trial is not told apart from the recommended one")
        if len(untold) == 1
        else say("{count} trials are not told apart from the recommended one", count=len(untold))
    )
    if len(known) < len(needed):
        return [say("{untold}, and no reasonable time would do that", untold=words)]
    more = quantities.format_count(max(known))
    return [say("{untold}: about {seconds} s more for each pair would do that", untold=words, seconds=more)]
