"""Requests to the controller: sent again until answered. What is asked is the caller's matter."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgedyno.core.messages import Get, Next, Renew, Update, encode

if TYPE_CHECKING:
    from collections.abc import Callable

Operation = Literal["next", "get", "update", "renew"]
Request = Next | Get | Update | Renew

# The controller answers within a database commit; what takes longer is taken to be lost.
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 5.0, 60.0


class _Open(Struct):
    """A request without an answer yet."""

    request_id: str
    payload: bytes
    resend_at: float
    asked_at: float
    tries: int = 1


def new_request_id() -> str:
    """Return an id that no other request has."""
    return os.urandom(8).hex()


class Dialogue:
    """At most one open request of each kind."""

    def __init__(self, publish: Callable[[str, bytes], bool], clock: Callable[[], float]) -> None:
        self._publish = publish
        self._clock = clock
        self._open: dict[Operation, _Open] = {}

    def ask(self, request: Request) -> None:
        """Send a request; one of the same kind that has no answer yet is forgotten."""
        operation = _OPERATIONS[type(request)]
        now = self._clock()
        self._open[operation] = _Open(request.request_id, encode(request), now + FIRST_RETRY_SECONDS, now)
        self._publish(f"req/{operation}", self._open[operation].payload)

    def is_open(self, operation: Operation) -> bool:
        """Tell whether a request waits for its answer."""
        return operation in self._open

    def age_seconds(self, operation: Operation) -> float:
        """Return how long ago an open request was first asked; 0 when there is none."""
        found = self._open.get(operation)
        return 0.0 if found is None else self._clock() - found.asked_at

    def close(self, operation: Operation, request_id: str) -> bool:
        """Take an answer; False when it answers no open request: a doubled, late or foreign one."""
        found = self._open.get(operation)
        if found is None or found.request_id != request_id:
            return False
        del self._open[operation]
        return True

    def forget(self, *operations: Operation) -> None:
        """Give up on the answers to requests."""
        for operation in operations:
            self._open.pop(operation, None)

    def deadline(self) -> float:
        """Return when `tick` has something to do."""
        return min((item.resend_at for item in self._open.values()), default=float("inf"))

    def tick(self) -> None:
        """Send again what has waited too long."""
        now = self._clock()
        for operation, item in self._open.items():
            if item.resend_at <= now:
                item.tries += 1
                self._send_again(operation, item, now)

    def reconnected(self) -> None:
        """Send everything again: what the old connection carried may be lost."""
        now = self._clock()
        for operation, item in self._open.items():
            item.tries = 1
            self._send_again(operation, item, now)

    def _send_again(self, operation: Operation, item: _Open, now: float) -> None:
        wait = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** (item.tries - 1))
        item.resend_at = now + wait * random.uniform(0.5, 1.0)  # noqa: S311 jitter is no secret
        self._publish(f"req/{operation}", item.payload)


_OPERATIONS: dict[type[Request], Operation] = {Next: "next", Get: "get", Update: "update", Renew: "renew"}
