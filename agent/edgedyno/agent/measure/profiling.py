"""The profile of each trial by operator, on request: after all measuring, in a fresh worker, one at a time.

Profiling slows a runtime down, so nothing that is measured may come from a worker that does it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edgedyno.agent.measure.supervisor import TrialError, Worker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedyno.agent.measure.journal import Journal
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.agent.measure.supervisor import Launch

_log = logging.getLogger(__name__)


def run_profiles(
    cells: Sequence[Cell],
    *,
    launch: Launch,
    journal: Journal,
    tensor: Path,
    stop: threading.Event,
    between: Callable[[int, int], None],
) -> None:
    """Profile every trial that has no profile yet, on `tensor`; `between` gets trials done and to do."""
    for done, cell in enumerate(cells, start=1):
        if stop.is_set():
            return
        log = journal.trial(cell.trial)
        if log.profile_sha256 is None and log.profile_reason is None:
            try:
                with Worker(cell, launch) as worker:
                    worker.bind(tensor)
                    log.profile_sha256 = journal.add_artifact(worker.profile())
            except TrialError as error:
                log.profile_reason = f"{error.failure.code}: {error.failure.text}"
                _log.info("profile of trial %s on %s: %s", cell.trial, cell.runtime, error)
            journal.save_trial(log)
        between(done, len(cells))
