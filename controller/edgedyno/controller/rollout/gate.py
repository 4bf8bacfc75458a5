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
    running = executions.running_on(connection, board, lock=lock)
    if running is not None:
        return running
    for waiting in executions.queue_of(connection, board, now_seconds=now_seconds):
        job = _job_of(connection, waiting, lock=lock)
        if job is None or (not job.free and hold_of(connection, job, waiting, moment) is not None):
            continue
        found = executions.read_execution(connection, waiting.execution, lock=True) if lock else waiting
        if found is not None and found.state == "QUEUED":
            return found
    return None


def _job_of(connection: Connection, execution: Execution, *, lock: bool) -> Rolled | None:
    """Return an execution's job; locked only where its executions have to be counted."""
    job = read_rolled(connection, execution.job)
    if job is None or job.free or not lock:
        return job
    job = read_rolled(connection, execution.job, lock=True)
    return job if job is not None and job.state == "active" else None


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
