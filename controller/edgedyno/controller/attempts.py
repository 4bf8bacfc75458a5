"""The end of an attempt, and whether another one follows: by the job's policy, or because somebody asked for it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from edgedyno.controller.store import executions, jobs
from edgedyno.core.failures import failure_class, limit_of, wait_seconds
from edgedyno.core.history import KEPT, Attempt, policy_retries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.store.executions import Execution
    from edgedyno.core.messages import ExecutionState


def conclude(
    connection: Connection,
    execution: Execution,
    state: ExecutionState,
    reason: str | None,
    now_seconds: float,
    **changes: Any,
) -> Execution:
    """End an attempt; queue another one where it failed and the job's policy grants one."""
    ended = end(connection, execution, state, reason, now_seconds, **changes)
    wait = _wait_before_next(connection, ended)
    if wait is None:
        return ended
    return queue_again(connection, ended, by="policy", now_seconds=now_seconds, wait=wait)


def end(
    connection: Connection,
    execution: Execution,
    state: ExecutionState,
    reason: str | None,
    now_seconds: float,
    **changes: Any,
) -> Execution:
    """End an execution for good."""
    return executions.change(
        connection,
        execution.execution,
        state=state,
        reason=reason,
        version=execution.version + 1,
        stalled=False,
        lease_id=None,
        lease_ends_at_seconds=None,
        not_before_seconds=None,
        ended_at_seconds=now_seconds,
        **changes,
    )


def queue_again(
    connection: Connection,
    execution: Execution,
    *,
    by: Literal["policy", "operator"],
    now_seconds: float,
    wait: float = 0.0,
) -> Execution:
    """Queue the next attempt of an ended execution, to begin in `wait` seconds or later."""
    kind = failure_class(execution.state, execution.reason)
    done = Attempt(execution.attempt, execution.state, execution.reason, kind, by)
    return executions.change(
        connection,
        execution.execution,
        state="QUEUED",
        version=execution.version + 1,
        attempt=execution.attempt + 1,
        progress=None,
        reason=None,
        stalled=False,
        cancel_requested=False,
        cancel_at_seconds=None,
        lease_id=None,
        lease_request_id=None,
        lease_ends_at_seconds=None,
        queued_at_seconds=now_seconds + wait,
        not_before_seconds=now_seconds + wait if wait else None,
        started_at_seconds=None,
        ended_at_seconds=None,
        scored=False,
        earlier=msgspec.json.encode([*execution.attempts(), done][-KEPT:]).decode(),
    )


def _wait_before_next(connection: Connection, execution: Execution) -> float | None:
    """Return how long to wait before the next automatic attempt; None when there is to be none."""
    kind = failure_class(execution.state, execution.reason)
    if kind is None or execution.cancel_requested:
        return None
    job = jobs.read_job(connection, execution.job)
    if job is None or job.cancel_requested:
        return None
    before = policy_retries(execution.attempts())
    if sum(attempt.failure_class == kind for attempt in before) >= limit_of(job.retry, kind):
        return None
    return wait_seconds(job.retry, len(before) + 1, random.random())  # noqa: S311 jitter is no secret
