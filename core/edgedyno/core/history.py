"""An execution as people see it: its record, its earlier attempts, and what is to come. The wire has the record."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from edgedyno.core.failures import FailureClass
from edgedyno.core.messages import ExecutionRecord, ExecutionState

KEPT = 50
"""Earlier attempts that are kept for people; the number of attempts is in the record."""


class Attempt(Struct, frozen=True, omit_defaults=True):
    """An attempt that was followed by another one."""

    attempt: int
    state: ExecutionState
    reason: str | None = None
    failure_class: FailureClass | None = None
    by: Literal["policy", "operator"] = "policy"
    """Who had the next attempt made."""


class ExecutionView(ExecutionRecord, frozen=True):
    """An execution with its history."""

    priority: int = 0
    failure_class: FailureClass | None = None
    retry_in_seconds: float | None = None
    """Until the board may begin the queued attempt; None when it may at once, or when none is queued."""
    retries_left: dict[str, int] = field(default_factory=dict)
    """Automatic retries that the job's policy still grants, by failure class."""
    earlier: list[Attempt] = field(default_factory=list)
    late_results: int = 0
    """Results that came after their attempt was over; kept, and never in the place of a newer attempt's."""


def policy_retries(earlier: list[Attempt]) -> list[Attempt]:
    """Return the automatic retries since somebody last asked for one."""
    by_hand = [number for number, attempt in enumerate(earlier) if attempt.by == "operator"]
    return earlier[by_hand[-1] + 1 :] if by_hand else earlier
