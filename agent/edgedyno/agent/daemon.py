"""The agent's daemon: one queue, one main thread that owns all state, and the order of starting and stopping.

It blocks on the queue until something happens or a deadline is reached; it never polls.
"""

from __future__ import annotations

import logging
import queue
import random
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

from edgedyno.agent.allegiance import Allegiance
from edgedyno.agent.artifacts import ArtifactCache
from edgedyno.agent.assignment import Assignment, read_assignment
from edgedyno.agent.config import read_controller_token
from edgedyno.agent.database import Database, StorageError
from edgedyno.agent.delivery import Delivery
from edgedyno.agent.dialogue import Dialogue, Operation, new_request_id
from edgedyno.agent.events import (
    AnyWake,
    Connected,
    Disconnected,
    Fetched,
    Received,
    Renewed,
    RunnerGone,
    RunnerSaid,
    StopAsked,
    Uploaded,
)
from edgedyno.agent.execution import Execution
from edgedyno.agent.fence import fence_of
from edgedyno.agent.folder_lock import hold_folder
from edgedyno.agent.folders import ARTIFACTS, WORK
from edgedyno.agent.identity import identity_tls
from edgedyno.agent.identity_renewal import Renewal
from edgedyno.agent.journal import Journal
from edgedyno.agent.lean import return_memory
from edgedyno.agent.link import Link
from edgedyno.agent.notify import Notifier
from edgedyno.agent.outbox import Outbox
from edgedyno.agent.porter import Porter
from edgedyno.agent.presence import Presence
from edgedyno.agent.process import RUNNER_COMMAND
from edgedyno.agent.room import Room
from edgedyno.agent.spool import Spool
from edgedyno.agent.surroundings import Surroundings, folder_of
from edgedyno.agent.trust import Distrust, read_trust
from edgedyno.core import topics
from edgedyno.core.errors import ConfigError, RunError
from edgedyno.core.messages import Ack, ControllerState, Desired, Next, Response, State, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedyno.agent.config import AgentConfig
    from edgedyno.core.board import Capabilities
    from edgedyno.core.manifest import Manifest
    from edgedyno.core.messages import ExecutionRecord, Lease

log = logging.getLogger(__name__)

# A doorbell may be lost with everything else; then the board asks by itself.
ASK_AGAIN_SECONDS = 300.0
# For results that still wait when the agent is told to end; what does not make it stays in the outbox.
FLUSH_SECONDS = 5.0
# Somebody may free a full disk at any time, and nothing tells of it.
DISK_AGAIN_SECONDS = 15.0
NEVER = float("inf")


class Daemon:
    """The agent of one board. Made and run in the process's main thread."""

    def __init__(
        self,
        config: AgentConfig,
        state_dir: Path,
        capabilities: Capabilities,
        *,
        runner_command: Sequence[str] = RUNNER_COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = hold_folder(state_dir)
        self._config = config
        self._state_dir = state_dir
        self._trust = read_trust(state_dir, config.trusted_keys)
        self._clock = clock
        self._notifier = Notifier()
        # SimpleQueue: its put may be called in a signal handler, which a Queue's may not. Its writers bound
        # it: a runner's lines by LINES_AHEAD, MQTT by what one controller asks, the porter by its tasks.
        self._queue: queue.SimpleQueue[AnyWake] = queue.SimpleQueue()
        self._database = Database(state_dir)
        self._allegiance = Allegiance(self._database, clock)
        self._outbox = Outbox(
            self._database,
            board=config.board_id,
            limit=config.outbox_limit,
            limit_bytes=int(config.outbox_size),
        )
        self._room = Room(self._database, self._outbox, min_free_bytes=int(config.min_free), clock=clock)
        self._spool = Spool(state_dir / "spool")
        self._spool.keep_only(self._outbox.artifacts())
        tls, token = identity_tls(state_dir), read_controller_token(config)
        self._porter = Porter(
            ArtifactCache(state_dir / ARTIFACTS, budget_bytes=int(config.cache_size), tls=tls, token=token),
            self._spool,
            self._queue.put,
            api_url=config.controller_url,
            tls=tls,
            token=token,
        )
        self._renewal = Renewal(state_dir, self._queue.put, clock=clock)
        self._renewed_since_connect = False
        self._presence = Presence(
            self._database,
            board=config.board_id,
            capabilities=capabilities,
            heartbeat_seconds=config.heartbeat,
            clock=clock,
        )
        will = self._presence.state(online=False)
        self._link = Link(config.broker, board=config.board_id, will=will, deliver=self._queue.put)
        self._dialogue = Dialogue(self._link.publish, clock)
        self._delivery = Delivery(
            self._outbox, self._spool, publish=self._link.publish, upload=self._porter.upload, clock=clock
        )
        self._surroundings = self._make_surroundings(capabilities, runner_command)
        self._execution: Execution | None = None
        self._rung = True
        self._ask_again_at = NEVER
        self._stopping = False
        self._flush_until = NEVER
        self._handlers: dict[type, Callable[[Any], None]] = {
            Connected: self._connected,
            Disconnected: self._disconnected,
            Received: self._received,
            RunnerSaid: self._runner_said,
            RunnerGone: self._runner_gone,
            Fetched: self._fetched,
            Uploaded: self._uploaded,
            Renewed: self._certificate_renewed,
            StopAsked: self._stop_asked,
        }

    def _make_surroundings(self, capabilities: Capabilities, runner_command: Sequence[str]) -> Surroundings:
        """Return what executions work with; call it when the parts exist."""
        return Surroundings(
            board=self._config.board_id,
            capabilities=capabilities,
            environments=self._config.runtimes,
            meters=self._config.meters,
            work_dir=self._state_dir / WORK,
            fence=fence_of(self._config, self._state_dir),
            journal=Journal(self._database),
            outbox=self._outbox,
            room=self._room,
            spool=self._spool,
            dialogue=self._dialogue,
            fetch=self._porter.fetch,
            deliver=self._queue.put,
            clock=self._clock,
            runner_command=runner_command,
            silence_seconds=self._config.runner_silence,
        )

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: self._queue.put(StopAsked(received)))
        try:
            self._begin()
            while not self._done():
                self._step()
        finally:
            self._end()

    def _begin(self) -> None:
        entry = self._surroundings.journal.current()
        work_dir = self._surroundings.work_dir
        _clear_work(work_dir, keep=None if entry is None else folder_of(work_dir, entry))
        if entry is not None:
            self._execution = Execution.resume(self._surroundings, entry)
        self._link.start()
        self._notifier.tell("READY=1")
        log.info("agent of board %s is up", self._config.board_id)

    def _step(self) -> None:
        wait = self._deadline() - self._clock()
        try:
            wake = self._queue.get(timeout=max(0.0, wait))
        except queue.Empty:
            wake = None
        try:
            if wake is not None:
                self._handlers[type(wake)](wake)
            self._tick()
        except StorageError as error:
            # Nothing was written, so nothing was acted upon: the controller sends it again, or the board asks again.
            log.error("%s", error)  # noqa: TRY400 the text says all
            self._look_for_room()

    def _deadline(self) -> float:
        watchdog = self._notifier.watchdog_seconds
        beats = self._clock() + watchdog if watchdog else NEVER
        # A wait has to be finite for the queue; nothing is done at its end if nothing is due.
        due = [
            beats,
            self._ask_again_at,
            self._flush_until,
            self._dialogue.deadline(),
            self._renewal.deadline(),
            self._clock() + 3600.0,
        ]
        if self._execution is not None:
            due.append(self._execution.deadline())
        if not self._quiet:
            due.append(self._presence.deadline())
            due.append(self._delivery.deadline())
            due.append(self._room.deadline())
        return min(due)

    def _tick(self) -> None:
        """Do what is due; each part looks at its own times."""
        self._notifier.tell("WATCHDOG=1")
        self._dialogue.tick()
        self._tick_execution()
        if self._clock() >= self._ask_again_at:
            self._rung = True
            self._ask_again_at = self._clock() + ASK_AGAIN_SECONDS
            # A broker whose queue was full drops a birth without a word.
            self._show_state()
        if self._rung:
            self._ask_next()
        self._renewal.tick(quiet=self._quiet)
        if not self._quiet:
            self._tick_links()
            if self._room.tick():
                self._room_changed()

    def _look_for_room(self) -> None:
        if self._room.look():
            self._room_changed()

    def _room_changed(self) -> None:
        """Tell the controller; with room again, go on and ask for what was refused meanwhile."""
        self._show_state()
        if self._room.refuses is None:
            self._rung = True
            if self._execution is not None:
                self._execution.room_again()

    def _tick_execution(self) -> None:
        if self._execution is None:
            return
        self._execution.tick()
        if self._execution.over:
            self._execution = None
            self._look_for_room()
            return_memory()
            self._show_state()
            self._rung = True

    def _tick_links(self) -> None:
        if self._renewed_since_connect and self._execution is None:
            # Nothing is under way that a moment without the broker could delay.
            self._renewed_since_connect = False
            self._link.reconnect()
        self._delivery.tick()
        beat = self._presence.beat(self._outbox.depth, self._outbox.size_bytes)
        if beat is not None and self._link.connected:
            self._link.publish("tele", beat, qos=0)

    @property
    def _quiet(self) -> bool:
        return self._execution is not None and self._execution.quiet

    # Stopping: take no more jobs, end the run, flush the outbox, say offline, disconnect

    def _stop_asked(self, wake: StopAsked) -> None:
        log.info("signal %d: the agent ends", wake.signal_number)
        self._notifier.tell("STOPPING=1")
        self._dialogue.forget("next")
        if self._stopping and self._execution is not None:
            self._execution.kill()
        self._stopping = True
        if self._execution is not None:
            self._execution.halt()

    def _done(self) -> bool:
        if not self._stopping or (self._execution is not None and not self._execution.at_rest):
            return False
        if self._flush_until == NEVER:
            self._flush_until = self._clock() + FLUSH_SECONDS
            self._delivery.pump()
        return not self._link.connected or self._outbox.depth == 0 or self._clock() >= self._flush_until

    def _end(self) -> None:
        if self._execution is not None:
            self._execution.kill()
        self._porter.stop()
        self._link.stop(self._presence.state(online=False))
        self._database.close()
        self._lock.close()

    # What wakes the daemon

    def _connected(self, _wake: Connected) -> None:
        log.info("connected to the broker")
        self._renewed_since_connect = False
        return_memory()
        self._show_state()
        self._link.publish("caps", self._presence.caps(), retain=True)
        self._begin_again()

    def _begin_again(self) -> None:
        """Send everything unanswered again: a broker or a controller that was away may have lost it."""
        self._dialogue.reconnected()
        self._delivery.reconnected()
        if self._execution is not None:
            self._execution.reconnected()
        self._rung = True

    def _show_state(self) -> None:
        execution = self._execution.entry.execution if self._execution else None
        state = self._presence.state(online=True, execution=execution, refuses=self._room.refuses)
        self._link.publish("state", state, retain=True)

    def _disconnected(self, wake: Disconnected) -> None:
        log.warning("no connection to the broker: %s", wake.reason)

    def _received(self, wake: Received) -> None:
        try:
            self._take(wake)
        except (ConfigError, RunError) as error:
            log.warning("message on %s is ignored: %s", wake.topic, error)

    def _take(self, wake: Received) -> None:
        if wake.topic == topics.CONTROLLER_STATE:
            self._take_controller(decode(wake.payload, ControllerState))
            return
        _, leaf = topics.parse(wake.topic) or ("", "")
        if not wake.payload:
            return
        if leaf == "state":
            self._take_state(decode(wake.payload, State), retained=wake.retained)
        elif not self._allegiance.foreign:
            self._take_order(leaf, wake)

    def _take_order(self, leaf: str, wake: Received) -> None:
        if leaf == "desired":
            self._take_desired(decode(wake.payload, Desired))
        elif leaf == "ack":
            self._take_ack(decode(wake.payload, Ack))
        elif leaf == "rsp/next":
            self._take_assignment(
                read_assignment(
                    wake.payload,
                    board=self._config.board_id,
                    trust=self._trust,
                    asked_seconds_ago=self._dialogue.age_seconds("next"),
                )
            )
        elif leaf in _ANSWERS:
            self._take_answer(_ANSWERS[leaf], decode(wake.payload, Response))

    def _take_controller(self, state: ControllerState) -> None:
        if not state.online:
            log.warning("the controller is offline")
            return
        self._allegiance.hear(state, busy=self._execution is not None or self._outbox.depth > 0)
        if self._allegiance.foreign:
            return
        self._porter.api_url = self._config.controller_url or state.api_url or self._porter.api_url
        self._begin_again()
        if self._execution is not None:
            self._execution.controller_moved()

    def _take_desired(self, desired: Desired) -> None:
        if self._execution is not None:
            self._execution.desired(desired)
        if desired.execution is not None:
            self._rung = True

    def _take_ack(self, ack: Ack) -> None:
        if self._delivery.acknowledged(ack) and self._execution is not None:
            self._execution.outbox_changed()

    def _take_state(self, state: State, *, retained: bool) -> None:
        if retained:
            if self._presence.outdated_by(state):
                self._link.will = self._presence.state(online=False)
                self._link.reconnect()
        elif not state.online and not self._stopping:
            # A will that comes late, of this session or an older one, has taken the birth's place at the broker.
            self._show_state()

    def _take_answer(self, operation: Operation, response: Response) -> None:
        if not self._dialogue.close(operation, response.request_id):
            return
        if self._execution is not None:
            self._execution.answered(operation, response)
        elif response.error is None:
            # A rejection was taken: the queue behind it may hold more.
            self._rung = True

    def _ask_next(self) -> None:
        busy = (
            self._execution is not None or self._dialogue.is_open("next") or self._dialogue.is_open("update")
        )
        if busy or self._stopping or not self._link.connected:
            return
        self._look_for_room()
        if self._room.refuses is None:
            self._dialogue.ask(Next(request_id=new_request_id()))
        self._rung = False
        self._ask_again_at = self._clock() + ASK_AGAIN_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 no secret

    def _take_assignment(self, assignment: Assignment) -> None:
        if not self._dialogue.close("next", assignment.response.request_id) or self._stopping:
            return
        if assignment.distrust is not None:
            self._distrusted(assignment, assignment.distrust)
        elif self._execution is not None:
            if not self._execution.readopt(assignment.response):
                self._execution.leave("the board is to do something else")
        elif assignment.rejection is not None:
            log.error("execution is rejected: %s", assignment.rejection.reason)
            self._dialogue.ask(assignment.rejection)
        elif (
            assignment.manifest is not None and assignment.record is not None and assignment.lease is not None
        ):
            self._begin_execution(assignment.record, assignment.lease, assignment.manifest)

    def _begin_execution(self, record: ExecutionRecord, lease: Lease, manifest: Manifest) -> None:
        try:
            self._execution = Execution.begin(self._surroundings, record, lease, manifest)
        except (StorageError, OSError) as error:
            # Its lease ends, and it is asked for again.
            log.error("execution %s cannot begin: %s", record.execution, error)  # noqa: TRY400 the disk's fault
            self._ask_again_at = self._clock() + DISK_AGAIN_SECONDS
        else:
            self._show_state()

    def _distrusted(self, assignment: Assignment, distrust: Distrust) -> None:
        """Act upon nothing that no trusted controller said; only one that came too late is asked for again."""
        log.error("an assignment is refused: %s: %s", distrust.code, distrust.text)
        if distrust.late:
            self._rung = True
        elif self._execution is None and assignment.rejection is not None:
            self._dialogue.ask(assignment.rejection)

    def _fetched(self, wake: Fetched) -> None:
        if self._execution is not None:
            self._execution.fetched(wake)

    def _uploaded(self, wake: Uploaded) -> None:
        self._delivery.uploaded(wake.sha256, wake.error)

    def _certificate_renewed(self, wake: Renewed) -> None:
        if self._renewal.renewed(wake):
            self._renewed_since_connect = True
            # With the certificate come the keys that the controller signs by from now on.
            self._trust = read_trust(self._state_dir, self._config.trusted_keys)

    def _runner_said(self, wake: RunnerSaid) -> None:
        if self._execution is not None:
            self._execution.runner_said(wake)

    def _runner_gone(self, wake: RunnerGone) -> None:
        if self._execution is not None:
            self._execution.runner_gone(wake)


_ANSWERS: dict[str, Operation] = {"rsp/get": "get", "rsp/update": "update", "rsp/renew": "renew"}


def _clear_work(work_dir: Path, *, keep: Path | None) -> None:
    """Remove the folders of executions that are over."""
    work_dir.mkdir(mode=0o700, exist_ok=True)
    for folder in work_dir.iterdir():
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
