"""One simulated board: its session, its outbox, its execution. What it sends are core's messages, copies of a record.

The requests go through the agent's own dialogue. The outbox survives everything but the process, as the agent's does.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from edgedyno.agent.delivery import RESEND_FIRST_SECONDS, RESEND_LAST_SECONDS, WINDOW
from edgedyno.agent.dialogue import Dialogue, new_request_id
from edgedyno.core import topics
from edgedyno.core.board import Capabilities
from edgedyno.core.messages import (
    Ack,
    Caps,
    ControllerState,
    Desired,
    ExecutionRecord,
    ExecutionState,
    Lease,
    Message,
    Next,
    Progress,
    Renew,
    Response,
    ResultMessage,
    State,
    Telemetry,
    Update,
    decode,
    encode,
)
from edgedyno.core.result import Result
from tests.simulated.client import Client

TICK_SECONDS = 1.0


class Waiting(Struct):
    """A result in the outbox."""

    message: ResultMessage
    put_at: float
    sent: bool = False


class Work(Struct):
    """The execution that the board works on."""

    record: ExecutionRecord
    lease: Lease
    renew_at: float
    done: int = 0
    result_at: float = float("inf")
    progress_at: float = 0.0
    ended: ExecutionState | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Name the execution and its attempt."""
        return self.record.execution, self.record.attempt


class Plan(Struct, frozen=True):
    """How boards behave; times in seconds."""

    record: Result
    capabilities: Capabilities
    heartbeat_seconds: float = 30.0
    trials: int = 0
    """Results of an execution, which then ends; 0: none, and it never ends."""
    trial_seconds: float = 1.0
    progress_seconds: float = 10.0


class Told(Struct):
    """What happened, for the one who watches; times are of time.monotonic()."""

    began: Callable[[str, float], None] = lambda _execution, _at: None
    acknowledged: Callable[[float], None] = lambda _seconds: None
    connected: Callable[[float], None] = lambda _at: None


class SimulatedBoard:
    """Speaks for one board until its task is cancelled."""

    def __init__(self, port: int, board: str, plan: Plan, told: Told) -> None:
        self.board = board
        self.plan = plan
        self.epoch = os.urandom(8).hex()
        self.outbox: dict[int, Waiting] = {}
        self.work: Work | None = None
        self.refused = 0
        self.completed = 0
        self._told = told
        self._seq = 0
        self._session_epoch = 1
        self._boot_id = os.urandom(8).hex()
        self._resend_at, self._resends = float("inf"), 0
        self._beat_at = time.monotonic() + random.uniform(0, plan.heartbeat_seconds)
        self._dialogue = Dialogue(self._publish, time.monotonic)
        leaves = ("desired", "rsp/+", "ack", "state")
        self.client = Client(
            port,
            f"edgedyno-{board}",
            will=lambda: (topics.of_board(board, "state"), encode(self._state(online=False))),
            topics=[topics.CONTROLLER_STATE, *(topics.of_board(board, leaf) for leaf in leaves)],
            ready=self._connected,
            received=self._received,
        )

    async def run(self) -> None:
        """Be a board until cancelled."""
        link = asyncio.create_task(self.client.run())
        try:
            await asyncio.sleep(random.uniform(0, TICK_SECONDS))
            while True:
                self._tick()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    def end(self) -> None:
        """End the execution with success."""
        if self.work is not None:
            self.work.ended = "SUCCEEDED"
            self._update(self.work, "SUCCEEDED")

    def put(self) -> bool:
        """Put a result of the current execution into the outbox and send it; False when there is none."""
        work = self.work
        if work is None or work.ended is not None:
            return False
        self._seq += 1
        message = ResultMessage(
            msg_id=f"{self.epoch}{self._seq:08x}",
            board=self.board,
            stream_epoch=self.epoch,
            seq=self._seq,
            execution=work.record.execution,
            attempt=work.record.attempt,
            lease_id=work.lease.lease_id,
            record=self._record(work),
            oldest_seq=next(iter(self.outbox), self._seq),
        )
        self.outbox[self._seq] = Waiting(message, time.monotonic())
        self._pump()
        return True

    def _record(self, work: Work) -> Result:
        work.done += 1
        return msgspec.structs.replace(
            self.plan.record,
            job=work.record.job,
            execution=work.record.execution,
            board=self.board,
            attempt=work.record.attempt,
            trial=f"{work.done:016x}",
        )

    def _state(self, *, online: bool) -> State:
        return State(
            board=self.board,
            online=online,
            boot_id=self._boot_id,
            session_epoch=self._session_epoch,
            execution=self.work.record.execution if self.work else None,
            agent_version=self.plan.capabilities.agent_version,
        )

    def _send(self, leaf: str, message: Message, *, retain: bool = False, qos: int = 1) -> bool:
        return self.client.publish(topics.of_board(self.board, leaf), encode(message), qos=qos, retain=retain)

    def _publish(self, leaf: str, payload: bytes) -> bool:
        return self.client.publish(topics.of_board(self.board, leaf), payload)

    # What comes

    def _connected(self) -> None:
        self._told.connected(time.monotonic())
        self._send("state", self._state(online=True), retain=True)
        capabilities = self.plan.capabilities
        caps = Caps(board=self.board, session_epoch=self._session_epoch, capabilities=capabilities)
        self._send("caps", caps, retain=True)
        self._begin_again()

    def _begin_again(self) -> None:
        for waiting in self.outbox.values():
            waiting.sent = False
        self._resend_at, self._resends = float("inf"), 0
        self._dialogue.reconnected()
        self._pump()
        self._ask_next()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic == topics.CONTROLLER_STATE:
            if decode(payload, ControllerState).online and not retained:
                self._begin_again()
            return
        leaf = (topics.parse(topic) or ("", ""))[1]
        if not payload or leaf == "state":
            return
        if leaf == "ack":
            self._take_ack(decode(payload, Ack))
        elif leaf == "desired":
            if decode(payload, Desired).execution is not None:
                self._ask_next()
        elif leaf == "rsp/next":
            self._take_next(decode(payload, Response))
        elif leaf.startswith("rsp/"):
            self._take_answer(leaf.removeprefix("rsp/"), decode(payload, Response))

    def _ask_next(self) -> None:
        if self.work is None and not self._dialogue.is_open("next"):
            self._dialogue.ask(Next(request_id=new_request_id()))

    def _take_next(self, response: Response) -> None:
        if not self._dialogue.close("next", response.request_id):
            return
        if response.record is None or response.lease is None:
            return
        if self.work is not None:
            if (response.record.execution, response.record.attempt) == self.work.key:
                self.work.record, self.work.lease = response.record, response.lease
            return
        now = time.monotonic()
        self._told.began(response.record.execution, now)
        self.work = Work(response.record, response.lease, now + response.lease.duration_seconds / 3)
        if self.plan.trials:
            self.work.result_at = now + random.uniform(0, self.plan.trial_seconds)
        self.work.progress_at = now + random.uniform(0, self.plan.progress_seconds)
        self._send("state", self._state(online=True), retain=True)

    def _take_answer(self, operation: str, response: Response) -> None:
        if operation not in ("get", "update", "renew") or not self._dialogue.close(
            operation,  # type: ignore[arg-type]  # checked above
            response.request_id,
        ):
            return
        work = self.work
        if work is None:
            return
        if response.error == "execution.ended" or (response.record and response.record.state == work.ended):
            self.completed += 1
            self.work = None
            self._ask_next()
        elif response.error == "lease.stale":
            self._dialogue.ask(Next(request_id=new_request_id()))
        elif response.record is not None:
            work.record = response.record
            work.lease = response.lease or work.lease

    def _take_ack(self, ack: Ack) -> None:
        if ack.stream_epoch != self.epoch:
            return
        now = time.monotonic()
        self.refused += len(ack.refused)
        gone = [seq for seq in self.outbox if seq <= ack.up_to]
        for seq in [*gone, *(refusal.seq for refusal in ack.refused)]:
            waiting = self.outbox.pop(seq, None)
            if waiting is not None:
                self._told.acknowledged(now - waiting.put_at)
        self._resends = 0
        self._resend_at = now + RESEND_FIRST_SECONDS if self.outbox else float("inf")
        self._pump()

    # What is due

    def _pump(self) -> None:
        if not self.client.connected:
            return
        for number, waiting in enumerate(self.outbox.values()):
            if number >= WINDOW:
                return
            if not waiting.sent:
                waiting.sent = self._send("result", waiting.message)
                if self._resend_at == float("inf"):
                    self._resend_at = time.monotonic() + RESEND_FIRST_SECONDS

    def _tick(self) -> None:
        now = time.monotonic()
        if not self.client.connected:
            return
        self._dialogue.tick()
        if now >= self._resend_at:
            self._resends += 1
            wait = min(RESEND_LAST_SECONDS, RESEND_FIRST_SECONDS * 2.0 ** min(self._resends, 6))
            self._resend_at = now + wait
            for waiting in self.outbox.values():
                waiting.sent = False
            self._pump()
        if now >= self._beat_at:
            self._beat_at += self.plan.heartbeat_seconds
            self._send("tele", self._telemetry(now), qos=0)
        if self.work is not None:
            self._tick_work(self.work, now)

    def _telemetry(self, now: float) -> Telemetry:
        return Telemetry(
            board=self.board,
            session_epoch=self._session_epoch,
            uptime_seconds=now,
            load=0.5,
            temperature_celsius={"cpu": 55.0},
            outbox_depth=len(self.outbox),
        )

    def _tick_work(self, work: Work, now: float) -> None:
        while now >= work.result_at and work.done < self.plan.trials:
            work.result_at += self.plan.trial_seconds
            self.put()
        name, lease = work.record.execution, work.lease
        if now >= work.renew_at and not self._dialogue.is_open("renew"):
            work.renew_at = now + lease.duration_seconds / 3
            self._dialogue.ask(Renew(request_id=new_request_id(), execution=name, lease_id=lease.lease_id))
        if self._dialogue.is_open("update"):
            return
        if work.ended is not None:
            self._update(work, work.ended)
        elif self.plan.trials and work.done >= self.plan.trials and not self.outbox:
            self.end()
        elif work.ended is None and now >= work.progress_at:
            work.progress_at = now + self.plan.progress_seconds
            self._update(work, "IN_PROGRESS")

    def _update(self, work: Work, state: ExecutionState) -> None:
        request = Update(
            request_id=new_request_id(),
            execution=work.record.execution,
            lease_id=work.lease.lease_id,
            expected_version=work.record.version,
            state=state,
            progress=Progress("measure", work.done, self.plan.trials or 100),
        )
        self._dialogue.ask(request)
