"""What becomes of jobs and executions: cancel, remove, timeouts, the end. All inside transactions.

Whether an attempt that failed is followed by another one is decided in `attempts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller import attempts
from edgedyno.controller.rollout.decision import ABORTED
from edgedyno.controller.store import boards, executions, jobs, rollouts
from edgedyno.controller.store.executions import Execution
from edgedyno.core.document import nearest
from edgedyno.core.errors import EdgedynoError, UnsupportedError
from edgedyno.core.messages import ExecutionState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from edgedyno.controller.store.jobs import Job
    from edgedyno.core.job import Timeouts
    from edgedyno.core.manifest import Failure

RETRIED = frozenset({"FAILED", "TIMED_OUT", "REJECTED"})
# Ten seconds for the runner to end its burst, the rest for the results that it has and for a slow link.
CANCEL_SECONDS = 120.0


class NotFoundError(EdgedynoError):
    """There is nothing of this name; the text names the nearest."""

    code = "not-found"
    exit_code = 2


class Change(Struct, frozen=True):
    """What an execution should become, and why."""

    execution: Execution
    state: ExecutionState | None
    """None: it is only marked stalled."""
    reason: str | None


def find_job(connection: Connection, job: str, *, lock: bool = False) -> Job:
    """Return a job or raise NotFoundError with the nearest name."""
    found = jobs.read_job(connection, job, lock=lock)
    if found is None:
        hint = nearest(job, jobs.read_job_names(connection))
        raise NotFoundError(f"found no job {job!r}{hint}", code="job.unknown")
    return found


def cancel(connection: Connection, job: str, now_seconds: float) -> list[str]:
    """Cancel what waits, ask boards to stop what runs; return the boards to ring.

    Raises UnsupportedError when the job has ended.
    """
    found = find_job(connection, job, lock=True)
    if found.state not in jobs.OPEN_STATES:
        raise UnsupportedError(f"the job {job} has ended: {found.state}", code="job.ended")
    touched = [e for e in executions.of_jobs(connection, [job], lock=True) if not e.ended]
    for execution in touched:
        if execution.state == "QUEUED":
            attempts.end(connection, execution, "CANCELED", "canceled before a board ran it", now_seconds)
        elif execution.stalled:
            text = "canceled while its board had no lease"
            attempts.end(connection, execution, "CANCELED", text, now_seconds)
        elif not execution.cancel_requested:
            executions.change(
                connection,
                execution.execution,
                cancel_requested=True,
                cancel_at_seconds=now_seconds,
                version=execution.version + 1,
            )
    jobs.set_job(connection, job, state=found.state, failure=found.failure, cancel_requested=True)
    settle_job(connection, job)
    return [execution.board for execution in touched]


def retry(connection: Connection, job: str, now_seconds: float) -> list[str]:
    """Queue a new attempt of what failed or timed out; return the boards to ring.

    Raises UnsupportedError when there is nothing to try again.
    """
    found = find_job(connection, job, lock=True)
    all_of_it = executions.of_jobs(connection, [job], lock=True)
    again = [e for e in all_of_it if e.state in RETRIED or _was_aborted(e)]
    if not again:
        raise UnsupportedError(f"the job {job} has no failed or timed out execution", code="job.no-retry")
    for execution in again:
        attempts.queue_again(connection, execution, by="operator", now_seconds=now_seconds)
    built = all(build.variants is not None for build in jobs.read_builds(connection, job))
    if not built or (found.failure is not None and found.failure.code != ABORTED):
        jobs.forget_builds(connection, job, reduce_ranges={e.reduce_range for e in all_of_it})
        built = False
    rollouts.reopen(connection, job)
    jobs.set_job(connection, job, state="active" if built else "building")
    return [execution.board for execution in again]


def remove(connection: Connection, board: str, now_seconds: float, *, force: bool) -> bool:
    """Take a board out of the fleet and end what it had to do; False when there is no such board.

    Raises UnsupportedError when the board is online, unless forced.
    """
    found = boards.read_board(connection, board)
    if found is None:
        return False
    if found.online and not force:
        text = f"the board {board!r} is online: stop its agent first, or force it"
        raise UnsupportedError(text, code="board.online")
    ended = executions.live_of_board(connection, board)
    for execution in ended:
        attempts.end(connection, execution, "REMOVED", "its board was removed from the fleet", now_seconds)
    boards.remove_board(connection, board)
    for job in {execution.job for execution in ended}:
        settle_job(connection, job)
    return True


def _was_aborted(execution: Execution) -> bool:
    """Tell whether it is only because of others that it did not run."""
    return execution.state == "CANCELED" and (execution.reason or "").startswith(ABORTED)


def fail_build(connection: Connection, job: str, failure: Failure, now_seconds: float) -> None:
    """End a job whose variants could not be built."""
    found = jobs.read_job(connection, job, lock=True)
    if found is None or found.state != "building":
        return
    for execution in executions.of_jobs(connection, [job], lock=True):
        if not execution.ended:
            attempts.end(connection, execution, "FAILED", f"{failure.code}: {failure.text}", now_seconds)
    jobs.set_job(connection, job, state="failed", failure=failure)


def activate(connection: Connection, job: str) -> bool:
    """Let boards have a job when all its builds are done; False when it is not, or no longer, to be built."""
    found = jobs.read_job(connection, job, lock=True)
    if found is None or found.state != "building":
        return False
    if any(build.variants is None for build in jobs.read_builds(connection, job)):
        return False
    jobs.set_job(connection, job, state="active", cancel_requested=found.cancel_requested)
    return True


def settle_job(connection: Connection, job: str) -> bool:
    """Give a job its end when every execution ended and was scored; True when it got it now."""
    found = jobs.read_job(connection, job, lock=True)
    if found is None or found.state not in jobs.OPEN_STATES:
        return False
    rolled = rollouts.read_rolled(connection, job)
    if rolled is not None and rolled.goes_on and not found.cancel_requested:
        return False
    all_of_it = executions.of_jobs(connection, [job])
    if any(not execution.ended for execution in all_of_it):
        return False
    if any(not execution.scored and execution.results_count for execution in all_of_it):
        return False
    if found.cancel_requested:
        state: jobs.JobState = "canceled"
    else:
        state = "succeeded" if all(e.state == "SUCCEEDED" for e in all_of_it) else "failed"
    jobs.set_job(connection, job, state=state, failure=found.failure, cancel_requested=found.cancel_requested)
    return True


def due(
    live: list[Execution],
    *,
    timeouts: Mapping[str, Timeouts],
    heard: Mapping[str, float],
    now_seconds: float,
    cancel_seconds: float = CANCEL_SECONDS,
) -> list[Change]:
    """Return what time has brought about. Pure: `heard` has each board's last word in fleet seconds."""
    changes = []
    for execution in live:
        limits = timeouts[execution.job]
        if execution.state == "QUEUED":
            change = _due_queued(execution, limits, now_seconds)
        else:
            change = _due_cancel(execution, cancel_seconds, now_seconds) or _due_running(
                execution, limits, heard.get(execution.board, 0.0), now_seconds
            )
        if change is not None:
            changes.append(change)
    return changes


def _due_queued(execution: Execution, limits: Timeouts, now_seconds: float) -> Change | None:
    if now_seconds - execution.queued_at_seconds < limits.queue:
        return None
    return Change(execution, "TIMED_OUT", f"timeout.queue: no board took it within {limits.queue:g} s")


def _due_cancel(execution: Execution, cancel_seconds: float, now_seconds: float) -> Change | None:
    if not execution.cancel_requested:
        return None
    ends_at = execution.lease_ends_at_seconds
    if ends_at is not None and now_seconds >= ends_at:
        return Change(execution, "CANCELED", "canceled while its board had no lease")
    asked_at = execution.cancel_at_seconds
    if asked_at is not None and now_seconds - asked_at >= cancel_seconds:
        text = f"canceled by force: its board did not end it within {cancel_seconds:g} s"
        return Change(execution, "CANCELED", text)
    return None


def _due_running(
    execution: Execution, limits: Timeouts, heard_at: float, now_seconds: float
) -> Change | None:
    started_at = execution.started_at_seconds or 0.0
    if now_seconds - started_at >= limits.whole:
        return Change(execution, "TIMED_OUT", f"timeout.whole: it ran longer than {limits.whole:g} s")
    if now_seconds - max(heard_at, started_at) >= limits.silence:
        return Change(execution, "TIMED_OUT", f"timeout.silence: no word for {limits.silence:g} s")
    ends_at = execution.lease_ends_at_seconds
    if ends_at is not None and now_seconds >= ends_at and not execution.stalled:
        return Change(execution, None, None)
    return None


def apply(connection: Connection, changes: list[Change], now_seconds: float) -> list[Execution]:
    """Carry the changes out, but for executions that moved on in between; return those that changed."""
    now_known = executions.read_executions(connection, [c.execution.execution for c in changes], lock=True)
    changed = []
    for change in changes:
        execution = now_known.get(change.execution.execution)
        if execution is None or _moved_on(execution, change.execution):
            continue
        if change.state is None:
            executions.change(connection, execution.execution, stalled=True)
        else:
            state: ExecutionState = "CANCELED" if execution.cancel_requested else change.state
            attempts.conclude(connection, execution, state, change.reason, now_seconds)
        changed.append(execution)
    return changed


def _moved_on(now_known: Execution, seen: Execution) -> bool:
    return (now_known.version, now_known.lease_ends_at_seconds) != (seen.version, seen.lease_ends_at_seconds)
