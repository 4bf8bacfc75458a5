"""The Starlette application: the table's routes behind the gate, errors, headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from edgedyno.controller.api.access import check_access
from edgedyno.controller.api.errors import HANDLERS
from edgedyno.controller.api.gate import Gate, announced_bytes
from edgedyno.controller.api.parts import parts_of
from edgedyno.controller.api.refusals import TooLargeError
from edgedyno.controller.api.routes import ALSO_AT_ROOT, ENDPOINTS, PREFIX, Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edgedyno.controller.api.parts import Parts

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
# For calls without a body: what a client sends there all the same is not read.
_NO_BODY_BYTES = 64 << 10


def make_app(parts: Parts) -> Starlette:
    """Return the application over the service's parts."""
    at_root = [_route(each) for each in ENDPOINTS if each.at_root or each.path in ALSO_AT_ROOT]
    below = [_route(each) for each in ENDPOINTS if not each.at_root]
    app = Starlette(
        routes=[*at_root, Mount(PREFIX, routes=below)],
        exception_handlers=HANDLERS,
        middleware=[Middleware(_SafeHeaders), Middleware(Gate, parts=parts)],
    )
    app.state.parts = parts
    return app


def _route(endpoint: Endpoint) -> Route:
    async def serve(request: Request) -> Response:
        _check(request, endpoint)
        return await endpoint.handler(request)

    return Route(endpoint.path, serve, methods=[endpoint.method])


def _check(request: Request, endpoint: Endpoint) -> None:
    """Raise the EdgedynoError that says why this one may not call this route, or not with such a body."""
    config = parts_of(request).config
    if not (config.open_metrics and endpoint.path == "/metrics"):
        check_access(request, endpoint.need, boards=endpoint.boards)
    if endpoint.body is bytes:
        return  # the handler knows the artifact's own limit
    limit = _NO_BODY_BYTES if endpoint.body is None else int(config.max_request_bytes)
    announced = announced_bytes(request)
    if announced > limit:
        raise TooLargeError(f"found {announced} bytes announced, expected at most {limit}")


class _SafeHeaders:
    """Adds headers that keep browsers from guessing and framing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_safely if scope["type"] == "http" else send)
