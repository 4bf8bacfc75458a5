"""Decides how far a rollout may go: one pure function over its rule, its standing and the executions of each wave.

Nothing else opens a wave, aborts a job or grants a start: `next` asks it before it gives an execution away, and the
leader keeps what it says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.core.rollout import Rollout

ABORTED = "rollout.aborted"
"""Code of what ends because a rollout was aborted."""
Status = Literal["running", "paused", "aborted"]


class Wave(Struct, frozen=True):
    """The executions of one wave, counted."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    """Ended, but not as SUCCEEDED."""

    @property
    def size(self) -> int:
        """Return how many there are."""
        return self.queued + self.running + self.succeeded + self.failed


class Standing(Struct, frozen=True, omit_defaults=True):
    """How far a rollout has come, as the store keeps it."""

    status: Status = "running"
    wave: int = 0
    """The newest wave that may run, from 0."""
    at_gate: bool = False
    """Paused after a wave: going on opens the next one."""
    reason: str | None = None
    """Why it is paused or aborted."""


class Decision(Struct, frozen=True):
    """What the rule makes of the executions."""

    standing: Standing
    slots: int | None
    """How many more boards may start now; None: any number."""

    def allows(self, wave: int) -> bool:
        """Tell whether a queued execution of this wave may start now."""
        return self.standing.status == "running" and wave <= self.standing.wave and self.slots != 0


def decide(rollout: Rollout | None, standing: Standing, waves: Sequence[Wave]) -> Decision:
    """Return how far the rollout may go; decided again from what it returned, it is the same."""
    if standing.status != "running":
        return Decision(standing, 0)
    if rollout is None:
        return Decision(standing, None)
    wave = standing.wave
    while True:
        moved = _after(rollout, wave, waves)
        if moved.status != "running":
            return Decision(moved, 0)
        if moved.wave == wave:
            return Decision(moved, _slots(rollout, waves))
        wave = moved.wave


def resumed(standing: Standing) -> Standing:
    """Return where a paused rollout goes on: after a wave with the next one, else where it was."""
    return Standing(wave=standing.wave + standing.at_gate)


def _after(rule: Rollout, number: int, waves: Sequence[Wave]) -> Standing:
    """Return the standing after a look at the waves up to `number`: the same, the next one, or stopped."""
    for index, wave in enumerate(waves[: number + 1]):
        if _is_broken(rule, wave):
            return Standing("aborted", number, reason=_why_aborted(rule, index, wave))
    if number >= len(waves) - 1:
        return Standing(wave=number)
    wave = waves[number]
    if wave.succeeded >= _needed(rule, wave):
        if rule.then == "pause" and wave.size:
            return Standing("paused", number, at_gate=True, reason=f"{_told(number, wave)}: then: pause")
        return Standing(wave=number + 1)
    if not wave.queued and not wave.running:
        return Standing(
            "paused",
            number,
            at_gate=True,
            reason=f"{_told(number, wave)}, expected {rule.success * 100:g}%",
        )
    return Standing(wave=number)


def _is_broken(rule: Rollout, wave: Wave) -> bool:
    if rule.failure is None:
        return wave.failed > wave.size - _needed(rule, wave)
    return wave.failed >= max(1, math.ceil(rule.failure * wave.size - 1e-9))


def _needed(rule: Rollout, wave: Wave) -> int:
    """Return how many successes a wave needs; a share such as 0.1 of 30 is not 4 by the last bit of a float."""
    return math.ceil(rule.success * wave.size - 1e-9)


def _slots(rule: Rollout, waves: Sequence[Wave]) -> int | None:
    if rule.max_boards is None:
        return None
    return max(0, rule.max_boards - sum(wave.running for wave in waves))


def _told(number: int, wave: Wave) -> str:
    return f"wave {number + 1}: {wave.succeeded} of {wave.size} executions succeeded"


def _why_aborted(rule: Rollout, number: int, wave: Wave) -> str:
    limit = (
        f"success: {rule.success * 100:g}% can no longer be reached"
        if rule.failure is None
        else f"failure: {rule.failure * 100:g}% is reached"
    )
    return f"wave {number + 1}: {wave.failed} of {wave.size} executions failed: {limit}"
