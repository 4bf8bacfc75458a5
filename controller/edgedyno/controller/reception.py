"""Takes messages from the inbox to the store and sends what they call for: acks, answers, doorbells.

One batch is one step on the store's writer thread: results first, in one transaction, then everything else in
another, each board's in the order it came. So a board's `SUCCEEDED` never overtakes its results.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import Struct, field
from sqlalchemy.exc import DataError, DBAPIError

from edgedyno.controller import requests
from edgedyno.controller.histogram import Histogram
from edgedyno.controller.ingest import Arrival, Outcome, ingest, open_result
from edgedyno.controller.rollout.moment import moment_of
from edgedyno.controller.store.boards import take_caps, take_state
from edgedyno.core.errors import ConfigError
from edgedyno.core.messages import Caps, Message, State, Telemetry, decode
from edgedyno.core.topics import parse

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.inbox import Inbox, Incoming
    from edgedyno.controller.presence import Presence
    from edgedyno.controller.store.database import Database
    from edgedyno.core.messages import Response

log = logging.getLogger(__name__)
BATCH_ROWS = 100
BATCH_SECONDS = 0.05
RETRY_SECONDS = 1.0

_KINDS = frozenset({"state", "caps", "tele", *requests.REQUESTS})
# What may follow `rsp/` in an answer: never a wildcard or another level.
_OPERATION = re.compile(r"[a-z][a-z0-9_-]{0,31}")

Send = Callable[[str, str, Message], None]


class Tally(Struct):
    """What this process took in since it started, for the metrics."""

    messages: Counter[str] = field(default_factory=Counter)
    """By kind: result, state, caps, tele, next, get, update, renew, other."""
    stored: int = 0
    duplicates: int = 0
    undecodable: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    forgotten: int = 0
    """Results that were acknowledged once and are not in the database, which is an older copy."""
    flags: Counter[str] = field(default_factory=Counter)
    """Stored results that are late, repeated or superseded."""
    batch_seconds: Histogram = field(default_factory=Histogram)
    lag_seconds: Histogram = field(default_factory=Histogram)
    """Of results, from their arrival here to the commit."""


class Step(Struct):
    """What one batch calls for."""

    messages: list[tuple[str, str, Message]] = field(default_factory=list)
    ring: set[str] = field(default_factory=set)
    woken: bool = False
    kinds: Counter[str] = field(default_factory=Counter)
    undecodable: int = 0


class Reception:
    """Runs as one task; the only writer of what boards say."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        clock: FleetClock,
        presence: Presence,
        send: Send,
        *,
        lease_seconds: float,
        sign: Callable[[str, Response], Response] = lambda _board, response: response,
    ) -> None:
        """Answer with what `sign` makes of a response for a board."""
        self._database = database
        self._inbox = inbox
        self._clock = clock
        self._presence = presence
        self._send = send
        self._lease_seconds = lease_seconds
        self._sign = sign
        self.tally = Tally()

    async def run(self, after: Callable[[Step], None]) -> None:
        """Take batches until cancelled; `after` is told of each what it touched."""
        while True:
            batch = await self._inbox.take(BATCH_ROWS, linger_seconds=BATCH_SECONDS)
            step = await self._take_until_done(batch)
            for board, leaf, message in step.messages:
                self._send(board, leaf, message)
            after(step)

    async def _take_until_done(self, batch: list[Incoming]) -> Step:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._database.writer, self._take, batch)
            except DBAPIError:
                # Nothing was acknowledged, so nothing is lost: the batch is held until the database is back.
                log.exception("the database failed; %d messages wait", len(batch))
                await asyncio.sleep(RETRY_SECONDS)

    def _take(self, batch: list[Incoming]) -> Step:
        started = time.monotonic()
        step = Step()
        others: list[tuple[str, str, bytes]] = []
        arrivals: list[Arrival] = []
        came: list[float] = []
        for topic, payload, at_seconds in batch:
            parsed = parse(topic)
            if parsed is None:
                self.tally.messages["other"] += 1
                continue
            board, leaf = parsed
            if leaf == "result":
                arrival = open_result(board, payload)
                self.tally.messages["result"] += 1
                if arrival is None:
                    self.tally.undecodable += 1
                else:
                    arrivals.append(arrival)
                    came.append(at_seconds)
            else:
                others.append((board, leaf, payload))
            self._presence.hear(board)
        if arrivals:
            self._take_results(arrivals, step)
            committed = time.monotonic()
            for at_seconds in came:
                self.tally.lag_seconds.observe(committed - at_seconds)
        if others:
            self._take_rest(others, step)
        self.tally.batch_seconds.observe(time.monotonic() - started)
        return step

    def _take_results(self, arrivals: list[Arrival], step: Step) -> None:
        outcome: Outcome = ingest(self._database, arrivals)
        self.tally.stored += outcome.stored
        self.tally.duplicates += outcome.duplicates
        self.tally.refusals += outcome.refusals
        self.tally.flags += outcome.flags
        self.tally.forgotten += outcome.forgotten
        step.messages += [(board, "ack", ack) for (board, _), ack in outcome.acks.items()]

    def _take_rest(self, others: list[tuple[str, str, bytes]], step: Step) -> None:
        """Take a batch of anything but results in one transaction: a commit for each would hold a fleet up."""
        try:
            told = self._database.write_now(self._take_others, others)
        except (DataError, OverflowError) as error:
            # Nearly never: so the savepoints that it takes to undo one message alone are made only now.
            log.info("a batch is taken again, message by message: %s", error)
            told = self._database.write_now(self._take_others, others, undo_alone=True)
        self.tally.messages += told.kinds
        self.tally.undecodable += told.undecodable
        step.messages += told.messages
        step.ring |= told.ring
        step.woken |= told.woken

    def _take_others(
        self, connection: Connection, others: list[tuple[str, str, bytes]], *, undo_alone: bool = False
    ) -> Step:
        """Take messages in the caller's transaction; with `undo_alone`, what is unfit in it changes nothing else.

        By board, so that replicas lock rows in one order; a sort keeps the order of each board's own messages.
        """
        step = Step()
        for board, leaf, payload in sorted(others, key=itemgetter(0)):
            kind = leaf.removeprefix("req/")
            step.kinds[kind if kind in _KINDS else "other"] += 1
            try:
                with connection.begin_nested() if undo_alone else nullcontext():
                    self._take_other(connection, board, leaf, payload, step)
            except (ConfigError, DataError, OverflowError) as error:
                # What cannot be read has written nothing yet.
                if not (undo_alone or isinstance(error, ConfigError)):
                    raise
                step.undecodable += 1
                log.warning(
                    "a message cannot be taken", extra={"board": board, "leaf": leaf, "cause": str(error)}
                )
        return step

    def _take_other(self, connection: Connection, board: str, leaf: str, payload: bytes, step: Step) -> None:
        if leaf == "tele":
            self._take_telemetry(board, payload)
        elif leaf in ("state", "caps"):
            self._take_birth(connection, board, leaf, payload, step)
        elif leaf.startswith("req/"):
            self._take_request(connection, board, leaf.removeprefix("req/"), payload, step)

    def _take_request(self, connection: Connection, board: str, op: str, payload: bytes, step: Step) -> None:
        try:
            request = requests.open_request(op, payload)
        except ConfigError as error:
            refusal = requests.refuse_unreadable(payload, error)
            if refusal is not None and _OPERATION.fullmatch(op):
                step.messages.append((board, f"rsp/{op}", refusal))
            raise
        answer = requests.answer(
            connection,
            board,
            request,
            now_seconds=self._clock.now(),
            lease_seconds=self._lease_seconds,
            moment=moment_of(self._clock, self._presence),
        )
        step.messages.append((board, f"rsp/{op}", self._sign(board, answer.response)))
        if answer.touched_job is not None:
            step.ring.add(board)
            step.woken = True

    def _take_telemetry(self, board: str, payload: bytes) -> None:
        telemetry = decode(payload, Telemetry)
        _check_board(board, telemetry.board)
        self._presence.take_telemetry(telemetry)

    def _take_birth(self, connection: Connection, board: str, leaf: str, payload: bytes, step: Step) -> None:
        if not payload:
            return  # a retained message was cleared by hand
        now_seconds = self._clock.now()
        if leaf == "state":
            state = decode(payload, State)
            _check_board(board, state.board)
            taken = take_state(connection, state, now_seconds)
            if state.online:
                step.ring.add(board)
            elif taken:
                self._presence.forget_readings(board)
        else:
            caps = decode(payload, Caps)
            _check_board(board, caps.board)
            taken = take_caps(connection, caps, now_seconds)
        if not taken:
            log.info("a late %s was ignored", leaf, extra={"board": board})


def _check_board(topic_board: str, board: str) -> None:
    if board != topic_board:
        raise ConfigError(f"found board {board!r} on the topic of {topic_board!r}", code="message.board")
