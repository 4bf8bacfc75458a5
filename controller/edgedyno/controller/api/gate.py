"""What every request passes before a route is looked for: headers, who asks, how often, how slow."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from edgedyno.controller.api.access import authenticate, keep_principal
from edgedyno.controller.api.errors import refuse
from edgedyno.controller.api.refusals import AccessError, RateError, SlowBodyError, TooLargeError
from edgedyno.controller.security.limits import RateLimit
from edgedyno.core.errors import ConfigError, EdgedynoError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edgedyno.controller.api.parts import Parts

MAX_HEADERS = 100
MAX_PATH_CHARACTERS = 2048
# Wrong credentials: a person mistypes a few; a program that goes on is slowed down.
FAILURES_PER_SECOND, FAILURES_AT_ONCE = 1.0, 20.0
# A body that stands still for this long is given up, and one that comes by drops after its grace.
DRAIN_BYTES, DRAIN_SECONDS = 1 << 20, 2.0
BODY_IDLE_SECONDS, BODY_GRACE_SECONDS, BODY_BYTES_PER_SECOND = 30.0, 30.0, 1024.0


class Gate:
    """The outermost application."""

    def __init__(self, app: ASGIApp, *, parts: Parts) -> None:
        self._app = app
        self._parts = parts
        config = parts.config
        self._rate = RateLimit(config.requests_per_second, config.requests_at_once)
        self._failures = RateLimit(FAILURES_PER_SECOND, FAILURES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body(receive, announced=_announced(scope))
        hang_up = _Answering(send, body)
        try:
            await self._admit(HTTPConnection(scope))
        except EdgedynoError as error:
            await refuse(error)(scope, receive, hang_up)
            return
        await self._app(scope, body, hang_up)

    async def _admit(self, connection: HTTPConnection) -> None:
        """Raise the EdgedynoError that says why this request goes no further."""
        if len(connection.scope["headers"]) > MAX_HEADERS:
            raise TooLargeError(
                f"found {len(connection.scope['headers'])} headers, expected at most {MAX_HEADERS}",
                code="request.headers",
            )
        if len(connection.scope["path"]) > MAX_PATH_CHARACTERS:
            raise TooLargeError(
                f"the path is longer than {MAX_PATH_CHARACTERS} characters", code="request.path"
            )
        address = connection.client.host if connection.client else ""
        _wait(self._failures.empty(address))
        try:
            who = await authenticate(
                connection,
                self._parts.tokens,
                anonymous=self._parts.config.allow_anonymous,
                loopback=self._parts.loopback,
            )
        except AccessError:
            self._failures.take(address)
            raise
        _wait(self._rate.take(f"{who.kind} {who.name}"))
        keep_principal(connection, who)


def announced_bytes(connection: HTTPConnection) -> int:
    """Return the length that a request says its body has; 0 where it does not say. Raises ConfigError."""
    text = connection.headers.get("content-length", "0")
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"content-length: found {text!r}, expected a number", code="request.invalid")
    return int(text)


def _announced(scope: Scope) -> float:
    """Return how many bytes of a body are to come; infinity where that is not said."""
    headers = dict(scope["headers"])
    if b"transfer-encoding" in headers:
        return float("inf")
    text = headers.get(b"content-length", b"0")
    return float(text) if text.isdigit() else float("inf")


def _wait(seconds: float) -> None:
    if seconds > 0:
        raise RateError(seconds)


class Body:
    """A request's body as it is received: one that stands still or drips raises SlowBodyError."""

    def __init__(self, receive: Receive, *, announced: float) -> None:
        self._receive = receive
        self._announced = announced
        self._bytes = 0
        self._waited_seconds = 0.0
        self.complete = announced == 0

    async def __call__(self) -> Message:
        if self.complete:
            return await self._receive()  # only the end of the connection can come
        started = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), BODY_IDLE_SECONDS)
        except asyncio.TimeoutError as error:
            raise SlowBodyError(f"nothing of the body came for {BODY_IDLE_SECONDS:g} s") from error
        self._waited_seconds += time.monotonic() - started
        self._bytes += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        least = (self._waited_seconds - BODY_GRACE_SECONDS) * BODY_BYTES_PER_SECOND
        if not self.complete and self._bytes < least:
            raise SlowBodyError(f"{self._bytes} bytes of the body came in {self._waited_seconds:.0f} s")
        return message

    async def drain(self) -> None:
        """Read what is left of a small body: a client that still sends would not hear why it was refused."""
        if self._announced > DRAIN_BYTES and not math.isinf(self._announced):
            return
        with contextlib.suppress(SlowBodyError, asyncio.TimeoutError):
            await asyncio.wait_for(self._drain(), DRAIN_SECONDS)

    async def _drain(self) -> None:
        while not self.complete and self._bytes < DRAIN_BYTES:
            if (await self())["type"] == "http.disconnect":
                return


class _Answering:
    """Closes the connection after an answer that came before the request's body had ended.

    Otherwise the server would read what is left of it, all ten gigabytes, before it looks for another request.
    """

    def __init__(self, send: Send, body: Body) -> None:
        self._send = send
        self._body = body

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._body.complete:
            await self._body.drain()
        if message["type"] == "http.response.start" and not self._body.complete:
            message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
        await self._send(message)
