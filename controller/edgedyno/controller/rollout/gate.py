"""The head of a board's queue: what it runs, else the first that may start now. Asked by `next` and the doorbell.

Everything that holds executions back is looked at here and nowhere else; what waits for a window, a wave or an idle
board lets what is queued behind it go first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.controller.rollout.decision import Decision, decide
from edgedyno.controller.rollout.holds import Hold, hold_of_board, hold_of_job, hold_of_wave
from edgedyno.controller.store import executions
from edgedyno.controller.store.boards import read_board
from edgedyno.controller.store.rollouts import Rolled, read_rolled, read_waves

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.controller.store.executions import Execution


def head_of_board(
    connection: Connection, board: str, moment: Moment, *, now_seconds: float, lock: bool = False
) -> Execution | None:
    """Return what this board should do; with `lock`, no other replica may grant it, or more of its job, meanwhile."""
    # Nearly always the first will do; the rest of the queue is read only where it may have to wait.
    for first_only in (True, False):
        for waiting in executions.queue_of(connection, board, now_seconds=now_seconds, first_only=first_only):
            if waiting.free or _may_start(connection, waiting.execution, moment, lock=lock):
                found = _locked(connection, waiting.execution) if lock else waiting.execution
                if found is not None:
                    return found
    return None


def heads_of_boards(
    connection: Connection, names: set[str] | None, moment: Moment, *, now_seconds: float
) -> dict[str, Execution]:
    """Return what each of these boards should do, where there is something; None stands for all boards."""
    found = {}
    for waiting in executions.firsts_of(connection, names, now_seconds=now_seconds):
        first = waiting.execution
        if waiting.free:
            found[first.board] = first
        elif head := head_of_board(connection, first.board, moment, now_seconds=now_seconds):
            found[first.board] = head
    return found


def _may_start(connection: Connection, execution: Execution, moment: Moment, *, lock: bool) -> bool:
    """Tell whether nothing holds a queued execution back; the job is locked while its executions are counted."""
    job = read_rolled(connection, execution.job, lock=lock)
    if job is None or job.state != "active":
        return False
    return job.free or hold_of(connection, job, execution, moment) is None


def _locked(connection: Connection, seen: Execution) -> Execution | None:
    """Return an execution as it is now, locked; None when it is no longer to be run."""
    found = executions.read_execution(connection, seen.execution, lock=True)
    return found if found is not None and found.state in ("QUEUED", "IN_PROGRESS") else None


def hold_of(connection: Connection, job: Rolled, execution: Execution, moment: Moment) -> Hold | None:
    """Return what keeps a queued execution from starting now."""
    decision = decision_of(connection, job)
    return (
        hold_of_job(job.placement, decision, moment)
        or hold_of_wave(decision, execution.wave)
        or hold_of_board(job.placement, execution.board, cpus_of(connection, job, execution.board), moment)
    )


def decision_of(connection: Connection, job: Rolled) -> Decision:
    """Return how far a job may go now."""
    waves = read_waves(connection, job.job) if job.placement.rollout is not None else []
    return decide(job.placement.rollout, job.standing, waves)


def cpus_of(connection: Connection, job: Rolled, board: str) -> int | None:
    """Return how many CPUs a board has, where a job asks."""
    if not job.placement.only_when_idle:
        return None
    found = read_board(connection, board)
    if found is None or found.capabilities is None:
        return None
    return sum(len(cluster.cpus) for cluster in found.capabilities.cpu.clusters)
