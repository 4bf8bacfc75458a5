"""One line on energy: the least of a run with its interval, source and scope, or why there is none."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from edgedyno.controller.lab.verdict.quantities import format_joules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.result import Result


def energy_line(results: Sequence[Result]) -> str:
    """Return what a run has to say about energy."""
    metered = [result.energy_joules_per_inference for result in results]
    found = [energy for energy in metered if energy is not None]
    if not found:
        reasons = Counter(
            result.energy_joules_per_inference_reason or "no reason given" for result in results
        )
        why = reasons.most_common(1)[0][0] if reasons else "no trial has a result"
        return f"energy: not measured ({why})"
    least = min(found, key=lambda energy: energy.value)
    line = (
        f"energy: {len(found)} of {len(results)} trials metered by {least.source}, scope {least.scope}; the least is "
        f"{format_joules(least.value)} an inference [{format_joules(least.low)}, {format_joules(least.high)}]"
    )
    return "; ".join([line, *_doubts(results)])


def _doubts(results: Sequence[Result]) -> list[str]:
    """Return what speaks against the figures, each once, with how many trials it concerns."""
    notes = [
        result.conditions.extra.get(name) for result in results for name in ("power_doubt", "power_disturbed")
    ]
    return [f"{count} with a doubt: {text}" for text, count in Counter(notes).items() if text]
