"""Takes messages from the inbox to the store and sends what they call for: acks, answers, doorbells.

One batch is one step on the store's writer thread: results first, in one transaction, then everything else in
the order it came. So a board's `SUCCEEDED` never overtakes its results.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field
from sqlalchemy.exc import DataError, DBAPIError

from edgedyno.controller import requests
from edgedyno.controller.ingest import Arrival, Outcome, ingest, open_result
from edgedyno.controller.rollout.moment import moment_of
from edgedyno.controller.store.boards import take_caps, take_state
from edgedyno.core.errors import ConfigError
from edgedyno.core.messages import Caps, Message, State, Telemetry, decode
from edgedyno.core.topics import parse

if TYPE_CHECKING:
    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.inbox import Inbox, Incoming
    from edgedyno.controller.presence import Presence
    from edgedyno.controller.store.database import Database
    from edgedyno.core.messages import Response

log = logging.getLogger(__name__)
BATCH_ROWS = 100
BATCH_SECONDS = 0.05
RETRY_SECONDS = 1.0
# Of batches, from the quickest commit on a fast disk to a slow SD card's.
DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

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
    batches: int = 0
    batch_seconds_sum: float = 0.0
    batch_seconds: Counter[float] = field(default_factory=Counter)
    """Batches by the smallest bound that they kept."""


class Step(Struct):
    """What one batch calls for."""

    messages: list[tuple[str, str, Message]] = field(default_factory=list)
    ring: set[str] = field(default_factory=set)
    woken: bool = False


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
        for topic, payload in batch:
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
            else:
                others.append((board, leaf, payload))
            self._presence.hear(board)
        if arrivals:
            self._take_results(arrivals, step)
        for board, leaf, payload in others:
            self._take_other(board, leaf, payload, step)
        self._note_duration(time.monotonic() - started)
        return step

    def _take_results(self, arrivals: list[Arrival], step: Step) -> None:
        outcome: Outcome = ingest(self._database, arrivals)
        self.tally.stored += outcome.stored
        self.tally.duplicates += outcome.duplicates
        self.tally.refusals += outcome.refusals
        step.messages += [(board, "ack", ack) for (board, _), ack in outcome.acks.items()]

    def _take_other(self, board: str, leaf: str, payload: bytes, step: Step) -> None:
        kind = leaf.removeprefix("req/")
        try:
            if leaf.startswith("req/"):
                self._take_request(board, kind, payload, step)
            elif leaf == "tele":
                self._take_telemetry(board, payload)
            elif leaf in ("state", "caps"):
                self._take_birth(board, leaf, payload, step)
            else:
                kind = "other"
        except (ConfigError, DataError, OverflowError) as error:
            self.tally.undecodable += 1
            log.warning(
                "a message cannot be taken", extra={"board": board, "leaf": leaf, "cause": str(error)}
            )
        if kind not in ("state", "caps", "tele", *requests.REQUESTS):
            kind = "other"
        self.tally.messages[kind] += 1

    def _take_request(self, board: str, op: str, payload: bytes, step: Step) -> None:
        try:
            request = requests.open_request(op, payload)
        except ConfigError as error:
            refusal = requests.refuse_unreadable(payload, error)
            if refusal is not None and _OPERATION.fullmatch(op):
                step.messages.append((board, f"rsp/{op}", refusal))
            raise
        answer = self._database.write_now(
            requests.answer,
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

    def _take_birth(self, board: str, leaf: str, payload: bytes, step: Step) -> None:
        if not payload:
            return  # a retained message was cleared by hand
        now_seconds = self._clock.now()
        if leaf == "state":
            state = decode(payload, State)
            _check_board(board, state.board)
            taken = self._database.write_now(take_state, state, now_seconds)
            if state.online:
                step.ring.add(board)
        else:
            caps = decode(payload, Caps)
            _check_board(board, caps.board)
            taken = self._database.write_now(take_caps, caps, now_seconds)
        if not taken:
            log.info("a late %s was ignored", leaf, extra={"board": board})

    def _note_duration(self, seconds: float) -> None:
        self.tally.batches += 1
        self.tally.batch_seconds_sum += seconds
        bound = next((bound for bound in DURATION_BOUNDS if seconds <= bound), float("inf"))
        self.tally.batch_seconds[bound] += 1


def _check_board(topic_board: str, board: str) -> None:
    if board != topic_board:
        raise ConfigError(f"found board {board!r} on the topic of {topic_board!r}", code="message.board")
