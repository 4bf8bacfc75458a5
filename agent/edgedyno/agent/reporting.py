"""Keeps the controller informed of one execution: lease, progress at most every two seconds, outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.dialogue import Dialogue, new_request_id
from edgedyno.core.messages import ExecutionState, Get, Next, Phase, Progress, Renew, Response, Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.agent.journal import Page

PROGRESS_SECONDS = 2.0
# However short a controller makes its leases, renewing them does not become a load.
RENEW_LEAST_SECONDS = 1.0
NEVER = float("inf")


class Reporting:
    """What was last said and what is to be said next; decides nothing about the execution."""

    def __init__(self, page: Page, dialogue: Dialogue, clock: Callable[[], float]) -> None:
        self._page = page
        self._dialogue = dialogue
        self._clock = clock
        self.progress = Progress(phase=page.entry.phase, trials_done=0, trials_total=0)
        self._sent: Progress | None = None
        self._send_at = 0.0
        self._renew_at = 0.0
        self._lease_begins()
        self.working = False
        """Whether there is progress to report and a lease to keep."""

    def progressed(self, progress: Progress) -> None:
        """Note the newest progress; it is sent when its time has come."""
        if progress.phase != self._page.entry.phase:
            self._page.change(phase=progress.phase)
        self.progress = progress
        self.tick()

    def in_phase(self, phase: Phase) -> Progress:
        """Return the newest progress, but in another phase."""
        last = self.progress
        return Progress(phase, last.trials_done, last.trials_total, elapsed_seconds=last.elapsed_seconds)

    def ask_record(self) -> None:
        """Ask how the controller sees the execution."""
        self._dialogue.ask(Get(request_id=new_request_id(), execution=self._page.entry.execution))

    def ask_lease(self) -> None:
        """Ask for the execution anew, because its lease is not valid any more."""
        self._dialogue.ask(Next(request_id=new_request_id()))

    def outcome(self, state: ExecutionState) -> None:
        """Say how it ended."""
        self._update(state, self.in_phase("upload"))

    def adopt(self, response: Response) -> None:
        """Take over the lease and the version that an answer carries."""
        entry, lease, record = self._page.entry, response.lease, response.record
        if lease is not None:
            if (lease.lease_id, lease.duration_seconds) != (entry.lease_id, entry.lease_seconds):
                self._page.change(lease_id=lease.lease_id, lease_seconds=lease.duration_seconds)
            self._lease_begins()
        if record is not None and record.version != entry.version:
            self._page.change(version=record.version)

    def close(self) -> None:
        """Say nothing more."""
        self.working = False
        self._dialogue.forget("get", "update", "renew")

    def deadline(self) -> float:
        """Return when `tick` has something to do."""
        return min(self._renew_due(), self._send_due())

    def tick(self) -> None:
        """Renew the lease and send progress, if due."""
        now = self._clock()
        if now >= self._renew_due():
            self._lease_begins()
            entry = self._page.entry
            self._dialogue.ask(
                Renew(request_id=new_request_id(), execution=entry.execution, lease_id=entry.lease_id)
            )
        if now >= self._send_due():
            self._send_at = now + PROGRESS_SECONDS
            self._sent = self.progress
            self._update("IN_PROGRESS", self.progress)

    def _lease_begins(self) -> None:
        self._renew_at = self._clock() + max(RENEW_LEAST_SECONDS, self._page.entry.lease_seconds / 3)

    def _renew_due(self) -> float:
        return self._renew_at if self.working and not self._dialogue.is_open("renew") else NEVER

    def _send_due(self) -> float:
        news = self.working and self.progress != self._sent
        return self._send_at if news and not self._dialogue.is_open("update") else NEVER

    def _update(self, state: ExecutionState, progress: Progress) -> None:
        entry = self._page.entry
        request = Update(
            request_id=new_request_id(),
            execution=entry.execution,
            lease_id=entry.lease_id,
            expected_version=entry.version,
            state=state,
            progress=progress,
            reason=entry.reason,
        )
        self._dialogue.ask(request)
