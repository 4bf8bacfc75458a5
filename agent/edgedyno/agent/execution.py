"""One execution on this board: journal, fetch, run, deliver, report. Decides; others send, carry and run.

Every method is called in the daemon's main thread.
"""

from __future__ import annotations

import enum
import errno
import logging
import shutil
import threading
from typing import TYPE_CHECKING

from edgedyno.agent.database import StorageError
from edgedyno.agent.journal import Entry, Page, read_boot_id
from edgedyno.agent.reporting import Reporting
from edgedyno.agent.surroundings import Surroundings, folder_of, silence_seconds
from edgedyno.agent.transfer import TransferStoppedError
from edgedyno.agent.watch import Watch
from edgedyno.core.errors import EdgedynoError, RetryableError
from edgedyno.core.messages import (
    TERMINAL_STATES,
    Desired,
    ExecutionRecord,
    ExecutionState,
    Lease,
    Progress,
    Response,
)
from edgedyno.core.run import Ended, Finished, Progressed, RunRequest

if TYPE_CHECKING:
    from edgedyno.agent.dialogue import Operation
    from edgedyno.agent.events import Fetched, RunnerGone, RunnerSaid
    from edgedyno.core.manifest import Manifest

log = logging.getLogger(__name__)

RESTARTS = 3
# A board that goes down under load comes back and starts the runner again; without this, for ever.
STARTS_WITHOUT_A_TRIAL = 10
RETRY_FIRST_SECONDS, RETRY_LAST_SECONDS = 1.0, 60.0
# How long to wait when a result could not be written down: for somebody to free the disk, or for acks.
STORAGE_SECONDS = 60.0
NEVER = float("inf")
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# Everything else on the board keeps still in these.
QUIET_PHASES = frozenset({"settle", "warm-up", "measure"})


class Stage(enum.Enum):
    """Where an execution stands on this board."""

    RECONCILE = "asks the controller whether to go on"
    FETCH = "gets its files"
    RUN = "has a runner, or waits to start it again"
    DELIVER = "waits until its results are acknowledged"
    REPORT = "tells the controller how it ended"
    OVER = "nothing is left to do"


class Execution:
    """The one execution that the board works on."""

    def __init__(self, surroundings: Surroundings, entry: Entry, stage: Stage) -> None:
        self._s = surroundings
        self._page = Page(surroundings.journal, entry)
        self._reporting = Reporting(self._page, surroundings.dialogue, surroundings.clock)
        self._enter(stage)
        self._folder = folder_of(surroundings.work_dir, entry)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._watch = Watch(
            self._folder,
            command=surroundings.runner_command,
            deliver=surroundings.deliver,
            clock=surroundings.clock,
            silence_seconds=silence_seconds(entry.manifest, surroundings.silence_seconds),
        )
        self._files: dict[str, str] = {}
        self._ticket = 0
        self._stop_fetch = threading.Event()
        self._failures = 0
        self._retry_at = NEVER
        self._timeout_at = entry.started_monotonic + entry.manifest.timeout_seconds
        self._ended: Ended | None = None
        self._ending: tuple[ExecutionState, str] | None = None
        self._abandoned = False
        self._halted = False
        self._storage_failed = False
        self._waits_for_storage = False

    @classmethod
    def begin(
        cls, surroundings: Surroundings, record: ExecutionRecord, lease: Lease, manifest: Manifest
    ) -> Execution:
        """Write an assignment down and set about it."""
        entry = Entry(
            execution=record.execution,
            attempt=record.attempt,
            lease_id=lease.lease_id,
            lease_seconds=lease.duration_seconds,
            version=record.version,
            manifest=manifest,
            boot_id=read_boot_id(),
            started_monotonic=surroundings.clock(),
        )
        surroundings.journal.begin(entry)
        execution = cls(surroundings, entry, Stage.FETCH)
        log.info("execution begins", extra={"execution": entry.execution, "attempt": entry.attempt})
        execution._fetch()
        if record.cancel_requested:
            execution._cancel()
        return execution

    @classmethod
    def resume(cls, surroundings: Surroundings, entry: Entry) -> Execution:
        """Take up what an earlier start of the agent left; the controller is asked first."""
        boot_id = read_boot_id()
        if entry.boot_id != boot_id:
            # The old clock is gone with its boot. The controller's own timeout goes on.
            now = surroundings.clock()
            entry = surroundings.journal.change(entry, boot_id=boot_id, started_monotonic=now)
        execution = cls(surroundings, entry, Stage.RECONCILE)
        execution._watch.clear()
        log.info("execution is taken up again", extra={"execution": entry.execution, "phase": entry.phase})
        execution._reporting.ask_record()
        return execution

    # What the daemon asks of it

    @property
    def entry(self) -> Entry:
        """What the journal says."""
        return self._page.entry

    @property
    def over(self) -> bool:
        """Whether it is gone from the journal."""
        return self.stage is Stage.OVER

    @property
    def quiet(self) -> bool:
        """Whether everything else has to keep still because the runner measures."""
        return self._watch.alive and self._ended is None and self._reporting.progress.phase in QUIET_PHASES

    @property
    def at_rest(self) -> bool:
        """Whether no runner is left, so that the daemon may end."""
        return not self._watch.alive

    def halt(self) -> None:
        """Stop working because the daemon ends; the journal keeps everything for its next start."""
        self._halted = True
        self._stop_fetch.set()
        self._watch.stop("the agent ends")

    def kill(self) -> None:
        """End the runner at once."""
        self._watch.kill()

    # What happens to it

    def answered(self, operation: Operation, response: Response) -> None:
        """Take the controller's answer to a request about this execution."""
        record = response.record
        if record is None:
            self._answered_without_record(operation, response)
        elif record.attempt != self.entry.attempt or record.state in TERMINAL_STATES:
            self._leave(f"the controller has it as {record.state}, attempt {record.attempt}")
        else:
            self._reporting.adopt(response)
            self._answered_with_record(operation, response, record)

    def readopt(self, response: Response) -> bool:
        """Take a new lease on this execution from an answer to `next`; False when it is another one's."""
        record = response.record
        if record is None or response.lease is None:
            return False
        if (record.execution, record.attempt) != (self.entry.execution, self.entry.attempt):
            return False
        self._reporting.adopt(response)
        if record.cancel_requested:
            self._cancel()
        if self.stage is Stage.RECONCILE:
            self._go_on()
        elif self.stage is Stage.REPORT:
            self._report_outcome()
        return True

    def desired(self, desired: Desired) -> None:
        """Take the doorbell."""
        if desired.cancel_requested and desired.execution == self.entry.execution:
            self._cancel()

    def fetched(self, event: Fetched) -> None:
        """Take the files, or why there are none."""
        if (
            event.ticket != self._ticket
            or self.stage is not Stage.FETCH
            or isinstance(event.error, TransferStoppedError)
        ):
            return
        if event.error is None:
            self._files = event.files
            self._run()
        elif isinstance(event.error, RetryableError):
            wait = min(RETRY_LAST_SECONDS, RETRY_FIRST_SECONDS * 2.0 ** min(self._failures, 8))
            self._failures += 1
            self._retry_at = self._s.clock() + wait
            log.warning("%s; next try in %.0f s", event.error, wait)
        else:
            self._conclude("FAILED", f"{event.error.code}: {event.error}")

    def runner_said(self, said: RunnerSaid) -> None:
        """Take a line of the runner."""
        event = self._watch.heard(said)
        if isinstance(event, Progressed):
            self._reporting.progressed(event.progress)
        elif isinstance(event, Finished):
            self._finished_trial(event)
        elif isinstance(event, Ended):
            self._ended = event
            self._watch.expect_end()

    def runner_gone(self, event: RunnerGone) -> None:
        """Take the end of the runner's process."""
        if not self._watch.gone(event) or self._halted:
            return
        if self._abandoned:
            self._forget()
        elif self._ending is not None:
            self._conclude(*self._ending)
        elif self._storage_failed or (self._ended is not None and _is_disk_full(self._ended)):
            self._wait_for_storage()
        elif self._ended is None:
            self._runner_died(event.returncode)
        elif self._ended.failure is not None:
            self._conclude("FAILED", f"{self._ended.failure.code}: {self._ended.failure.text}")
        else:
            self._conclude("SUCCEEDED", None)

    def outbox_changed(self) -> None:
        """Look again whether all results are acknowledged."""
        if self.stage is Stage.DELIVER and not self._s.outbox.waiting(self.entry.execution):
            self._enter(Stage.REPORT)
            self._report_outcome()

    def room_again(self) -> None:
        """Go on at once with what waited for space."""
        if self._waits_for_storage:
            self._retry_at = self._s.clock()

    def controller_moved(self) -> None:
        """Fetch at once: the controller has just told where it is."""
        if self.stage is Stage.FETCH and self._retry_at != NEVER:
            self._fetch()

    def reconnected(self) -> None:
        """Ask how the controller sees the execution: it may have ended it, or begun another attempt, meanwhile."""
        if not self._settled and self.stage is not Stage.RECONCILE:
            self._reporting.ask_record()

    def deadline(self) -> float:
        """Return when `tick` has something to do."""
        if self._settled:
            return self._watch.deadline()
        return min(self._watch.deadline(), self._reporting.deadline(), self._retry_at, self._timeout_due())

    def tick(self) -> None:
        """Do what is due."""
        self._watch.tick()
        if self._settled:
            return
        now = self._s.clock()
        if now >= self._timeout_due():
            self._stop_as(
                "TIMED_OUT", f"timeout.whole: it ran longer than {self.entry.manifest.timeout_seconds:g} s"
            )
        if now >= self._retry_at:
            self._retry()
        self._reporting.tick()

    @property
    def _settled(self) -> bool:
        """Whether only the end of the runner is waited for."""
        return self._halted or self._abandoned or self.over

    def _timeout_due(self) -> float:
        return NEVER if self._ending is not None or self.entry.outcome is not None else self._timeout_at

    # The way through the stages

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self._reporting.working = stage in (Stage.FETCH, Stage.RUN, Stage.DELIVER)

    def _go_on(self) -> None:
        if self.entry.outcome is not None:
            self._enter(Stage.DELIVER)
            self.outbox_changed()
        else:
            self._fetch()

    def _fetch(self) -> None:
        self._enter(Stage.FETCH)
        self._retry_at = NEVER
        self._ticket += 1
        self._stop_fetch = threading.Event()
        self._s.fetch(self._ticket, self.entry.manifest, self._stop_fetch)
        self._reporting.progressed(Progress(phase="fetch", trials_done=0, trials_total=0))

    def _run(self) -> None:
        if self.entry.starts >= STARTS_WITHOUT_A_TRIAL:
            self._conclude(
                "FAILED", f"runner.starts: {self.entry.starts} starts of the runner finished no trial"
            )
            return
        self._enter(Stage.RUN)
        self._retry_at, self._ended, self._storage_failed = NEVER, None, False
        try:
            self._page.change(phase="settle", starts=self.entry.starts + 1)
            self._reporting.progress = Progress(phase="settle", trials_done=0, trials_total=0)
            self._watch.start(self._request())
        except (StorageError, OSError) as error:
            if not isinstance(error, StorageError) and error.errno not in DISK_FULL:
                self._conclude("FAILED", f"runner.start: {error}")
                return
            log.error("the runner cannot be started now: %s", error)  # noqa: TRY400 the disk's fault
            self._wait_for_storage()
        except EdgedynoError as error:
            self._conclude("FAILED", f"runner.start: {error}")

    def _wait_for_storage(self) -> None:
        """Try again when there is room, or after a while."""
        self._s.room.wait()
        self._waits_for_storage = True
        self._retry_at = self._s.clock() + STORAGE_SECONDS

    def _request(self) -> RunRequest:
        samples = self._folder / "run"
        samples.mkdir(mode=0o700, exist_ok=True)
        return RunRequest(
            manifest=self.entry.manifest,
            board=self._s.board,
            attempt=self.entry.attempt,
            capabilities=self._s.capabilities,
            files=self._files,
            work_dir=str(samples),
            environments=self._s.environments,
            meters=self._s.meters,
            done_trials=self._s.journal.done_trials(self.entry),
            fence=self._s.fence,
        )

    def _retry(self) -> None:
        self._retry_at, self._waits_for_storage = NEVER, False
        if self._ending is not None:
            self._conclude(*self._ending)
        elif self.stage is Stage.FETCH:
            self._fetch()
        elif self.stage is Stage.RUN:
            self._run()
        elif self.stage is Stage.REPORT:
            self._report_outcome()
        elif self.stage is Stage.RECONCILE:
            self._reporting.ask_record()

    def _runner_died(self, returncode: int) -> None:
        if self._s.room.disk_is_full:
            log.error("the runner died (exit code %d) on a full disk: it has to wait", returncode)
            self._wait_for_storage()
            return
        why = self._watch.killed_because or f"exit code {returncode}"
        self._page.change(deaths=self.entry.deaths + 1)
        log.error(
            "the runner died (%s)",
            why,
            extra={"execution": self.entry.execution, "deaths": self.entry.deaths},
        )
        if self.entry.deaths > RESTARTS:
            self._conclude("FAILED", f"runner.died: {self.entry.deaths} times, at last with: {why}")
        else:
            self._retry_at = self._s.clock() + RETRY_FIRST_SECONDS * self.entry.deaths

    def _finished_trial(self, event: Finished) -> None:
        record = event.record
        if (record.execution, record.attempt) != (self.entry.execution, self.entry.attempt):
            log.error("the runner gave a result of %s, attempt %d", record.execution, record.attempt)
            return
        if self._s.outbox.full:
            self._pause("the outbox is full")
            return
        try:
            artifacts = self._s.spool.keep(event.files)
            new = self._s.journal.finish_trial(self.entry, record, self._s.outbox, artifacts)
        except StorageError as error:
            self._pause(str(error))
            return
        if new:
            log.info("trial has its result", extra={"trial": record.trial, "status": record.status})

    def _pause(self, reason: str) -> None:
        """Stop the runner because a result cannot be kept; started again later, it gives the result again."""
        log.error("the runner has to wait: %s", reason)
        self._storage_failed = True
        self._watch.stop(reason)

    def _conclude(self, state: ExecutionState, reason: str | None) -> None:
        log.info("execution ends as %s%s", state, f": {reason}" if reason else "")
        self._retry_at = NEVER
        try:
            self._page.change(outcome=state, reason=reason or None, phase="upload")
        except StorageError as error:
            log.error("the end waits to be written down: %s", error)  # noqa: TRY400 the text says all
            self._ending = (state, reason or "")
            self._wait_for_storage()
            return
        self._enter(Stage.DELIVER)
        self.outbox_changed()
        if self.stage is Stage.DELIVER:
            self._reporting.progressed(self._reporting.in_phase("upload"))

    def _report_outcome(self) -> None:
        self._retry_at = NEVER
        if self.entry.outcome is not None:
            self._reporting.outcome(self.entry.outcome)

    def _cancel(self) -> None:
        self._stop_as("CANCELED", "canceled by the controller")

    def _stop_as(self, state: ExecutionState, reason: str) -> None:
        """End the work early with `state`, unless it has ended already."""
        if self.entry.outcome is not None or self._ending is not None or self._abandoned:
            return
        self._ending = (state, reason)
        self._stop_fetch.set()
        if self._watch.alive:
            self._watch.stop(reason)
        else:
            self._conclude(state, reason)

    def _leave(self, reason: str) -> None:
        """Drop the execution: it is no longer this board's matter, or its end is known to the controller."""
        if self.entry.outcome is None:
            log.warning("execution is dropped: %s", reason, extra={"execution": self.entry.execution})
        self._abandoned = True
        self._stop_fetch.set()
        if self._watch.alive:
            self._watch.stop(reason)
        else:
            self._forget()

    def leave(self, reason: str) -> None:
        """Drop the execution because the board was given another one."""
        self._leave(reason)

    def _forget(self) -> None:
        self._enter(Stage.OVER)
        self._reporting.close()
        self._s.journal.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    # The controller's answers

    def _answered_without_record(self, operation: Operation, response: Response) -> None:
        if response.error == "execution.unknown":
            self._leave("the controller does not know it")
        elif response.error is not None:
            log.warning("the controller refused %s: %s: %s", operation, response.error, response.text)
            if self.stage in (Stage.RECONCILE, Stage.REPORT):
                self._retry_at = self._s.clock() + RETRY_LAST_SECONDS

    def _answered_with_record(
        self, operation: Operation, response: Response, record: ExecutionRecord
    ) -> None:
        if record.cancel_requested:
            self._cancel()
        if response.error == "lease.stale" or record.state == "QUEUED":
            self._reporting.ask_lease()
        elif self.stage is Stage.RECONCILE and operation == "get":
            self._go_on()
        elif self.stage is Stage.REPORT and operation == "update":
            # Refused for its version: now the version is known. Anything else is tried again later.
            if response.error == "version.stale":
                self._report_outcome()
            else:
                self._retry_at = self._s.clock() + RETRY_LAST_SECONDS


def _is_disk_full(ended: Ended) -> bool:
    return ended.failure is not None and ended.failure.code == StorageError.code
