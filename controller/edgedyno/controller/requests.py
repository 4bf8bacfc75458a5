"""Answer boards' requests: next, get, update, renew. Each in one transaction; publishes nothing."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from edgedyno.controller import attempts
from edgedyno.controller.rollout.gate import head_of_board
from edgedyno.controller.store import executions, jobs
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import Manifest
from edgedyno.core.messages import TERMINAL_STATES, Get, Lease, Message, Next, Renew, Response, Update, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.controller.store.executions import Execution

REQUESTS: dict[str, type[Message]] = {"next": Next, "get": Get, "update": Update, "renew": Renew}
# What a board may report about an execution that it runs.
_FROM_BOARD = frozenset({"IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "CANCELED"})


class Answer(Struct, frozen=True):
    """A response, and the job whose state it may have changed."""

    response: Response
    touched_job: str | None = None


def open_request(op: str, payload: bytes) -> Message:
    """Decode the request of an operation. Raises ConfigError."""
    kind = REQUESTS.get(op)
    if kind is None:
        text = f"found the operation {op[:32]!r}, expected one of {', '.join(REQUESTS)}"
        raise ConfigError(text, code="operation.unknown")
    return decode(payload, kind)


def refuse_unreadable(payload: bytes, error: ConfigError) -> Response | None:
    """Return the answer to a request that cannot be read; None where not even its id can be.

    A board that hears nothing would ask again for ever: a newer one learns here what this controller cannot do.
    """
    try:
        asked = _asked.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Response(request_id=asked.request_id, error=error.code, text=str(error)[:500])


class _Asked(Struct, frozen=True):
    request_id: Annotated[str, Meta(min_length=1, max_length=128)]


_asked = msgspec.json.Decoder(_Asked)


def answer(
    connection: Connection,
    board: str,
    request: Message,
    *,
    now_seconds: float,
    lease_seconds: float,
    moment: Moment,
) -> Answer:
    """Answer one request inside the caller's transaction."""
    desk = _Desk(connection, board, now_seconds, lease_seconds, moment)
    answers: dict[type[Message], Callable[[Any], Answer]] = {
        Next: desk.next,
        Get: desk.get,
        Update: desk.update,
        Renew: desk.renew,
    }
    return answers[type(request)](request)


class _Desk:
    """What is common to the answers of one request."""

    def __init__(
        self, connection: Connection, board: str, now_seconds: float, lease_seconds: float, moment: Moment
    ) -> None:
        self._connection = connection
        self._board = board
        self._now_seconds = now_seconds
        self._lease_seconds = lease_seconds
        self._moment = moment

    def next(self, request: Next) -> Answer:
        """Assign the head of the queue; asked twice with one request id, give the same lease."""
        head = head_of_board(
            self._connection, self._board, self._moment, now_seconds=self._now_seconds, lock=True
        )
        if head is None:
            return Answer(Response(request_id=request.request_id))
        repeated = head.lease_request_id == request.request_id and head.lease_id is not None
        lease_id = head.lease_id if repeated and head.lease_id else secrets.token_hex(8)
        values: dict[str, Any] = {"lease_id": lease_id, "lease_request_id": request.request_id[:128]}
        if head.state == "QUEUED":
            values |= {
                "state": "IN_PROGRESS",
                "version": head.version + 1,
                "started_at_seconds": self._now_seconds,
            }
        execution = executions.change(
            self._connection, head.execution, **values, stalled=False, **self._lease_end()
        )
        return Answer(
            Response(
                request_id=request.request_id,
                record=execution.record(),
                lease=Lease(lease_id, self._lease_seconds),
                manifest=manifest_of(self._connection, execution),
            ),
            execution.job,
        )

    def get(self, request: Get) -> Answer:
        """Show an execution."""
        execution, refusal = self._find(request.request_id, request.execution)
        return refusal or Answer(
            Response(request_id=request.request_id, record=execution.record() if execution else None)
        )

    def renew(self, request: Renew) -> Answer:
        """Prolong a lease."""
        execution, refusal = self._find(request.request_id, request.execution)
        if refusal or execution is None:
            return refusal or self._nothing(request.request_id)
        refusal = self._fence(request.request_id, execution, request.lease_id)
        return refusal or self._granted(request.request_id, execution, {})

    def update(self, request: Update) -> Answer:
        """Take a report, unless it is from an older holder or about an older version."""
        execution, refusal = self._find(request.request_id, request.execution)
        if refusal or execution is None:
            return refusal or self._nothing(request.request_id)
        refusal = self._fence(request.request_id, execution, request.lease_id)
        if refusal:
            return refusal
        if request.expected_version != execution.version:
            text = f"found version {request.expected_version}, expected {execution.version}"
            return self._refuse(request.request_id, "version.stale", text, execution)
        if request.state not in _FROM_BOARD:
            text = f"found state {request.state!r}, expected one of {', '.join(sorted(_FROM_BOARD))}"
            return self._refuse(request.request_id, "state.invalid", text, execution)
        progress = msgspec.json.encode(request.progress).decode() if request.progress else execution.progress
        reason = request.reason[:2000] if request.reason else None
        if request.state in TERMINAL_STATES:
            return self._ended(request, execution, reason, progress)
        values = {"version": execution.version + 1, "progress": progress}
        return self._granted(request.request_id, execution, values | ({"reason": reason} if reason else {}))

    def _ended(
        self, request: Update, execution: Execution, reason: str | None, progress: str | None
    ) -> Answer:
        ended = attempts.conclude(
            self._connection, execution, request.state, reason, self._now_seconds, progress=progress
        )
        return Answer(Response(request_id=request.request_id, record=ended.record()), ended.job)

    def _find(self, request_id: str, name: str) -> tuple[Execution | None, Answer | None]:
        execution = executions.read_execution(self._connection, name, lock=True)
        if execution is None or execution.board != self._board:
            text = f"found no execution {name!r} for board {self._board!r}"
            return None, self._refuse(request_id, "execution.unknown", text, None)
        return execution, None

    def _fence(self, request_id: str, execution: Execution, lease_id: str) -> Answer | None:
        if execution.ended:
            text = f"the execution ended as {execution.state}"
            return self._refuse(request_id, "execution.ended", text, execution)
        if execution.lease_id is None or execution.lease_id != lease_id:
            text = "the execution is leased anew, or is queued again: ask for `next`"
            return self._refuse(request_id, "lease.stale", text, execution)
        return None

    def _granted(self, request_id: str, execution: Execution, values: dict[str, Any]) -> Answer:
        changed = executions.change(
            self._connection, execution.execution, **values, stalled=False, **self._lease_end()
        )
        lease = Lease(changed.lease_id, self._lease_seconds) if changed.lease_id else None
        return Answer(Response(request_id=request_id, record=changed.record(), lease=lease))

    def _lease_end(self) -> dict[str, float]:
        return {"lease_ends_at_seconds": self._now_seconds + self._lease_seconds}

    @staticmethod
    def _refuse(request_id: str, code: str, text: str, execution: Execution | None) -> Answer:
        record = execution.record() if execution else None
        return Answer(Response(request_id=request_id, error=code, text=text, record=record))

    @staticmethod
    def _nothing(request_id: str) -> Answer:
        return Answer(Response(request_id=request_id))


def manifest_of(connection: Connection, execution: Execution) -> Manifest:
    """Return everything that the board is told about an execution."""
    resolved = jobs.read_resolved(connection, execution.job)
    builds = {build.reduce_range: build for build in jobs.read_builds(connection, execution.job)}
    return Manifest(
        job=execution.job,
        execution=execution.execution,
        model=resolved.model,
        variants=builds[execution.reduce_range].variants or [],
        sweep=resolved.spec.sweep,
        measure=resolved.spec.measure,
        images=resolved.images,
        known=resolved.known,
        dataset=resolved.dataset.name if resolved.dataset else None,
        timeout_seconds=resolved.spec.timeouts.whole,
    )
