"""The Starlette application: routes, errors, headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from edgedyno.controller.api import artifacts, boards, enrolment, groups, health, jobs, siblings
from edgedyno.controller.api.errors import HANDLERS
from edgedyno.controller.web import pages

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edgedyno.controller.api.parts import Parts

PREFIX = "/api/v1"
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


def make_app(parts: Parts) -> Starlette:
    """Return the application over the service's parts."""
    probes = [Route("/healthz", health.healthz), Route("/metrics", health.metrics)]
    app = Starlette(
        routes=[Route("/", pages.index), *probes, Mount(PREFIX, routes=[*probes, *_api()])],
        exception_handlers=HANDLERS,
        middleware=[Middleware(_SafeHeaders)],
    )
    app.state.parts = parts
    return app


def _api() -> list[BaseRoute]:
    return [
        Route("/artifacts/missing", artifacts.missing, methods=["POST"]),
        Route("/artifacts/{sha256}", artifacts.get, methods=["GET"]),
        Route("/artifacts/{sha256}", artifacts.put, methods=["PUT"]),
        Route("/jobs", jobs.submit, methods=["POST"]),
        Route("/jobs", jobs.list_all),
        Route("/jobs/plan", jobs.plan, methods=["POST"]),
        Route("/jobs/{job}", jobs.show),
        Route("/jobs/{job}/cancel", jobs.cancel, methods=["POST"]),
        Route("/jobs/{job}/pause", jobs.pause, methods=["POST"]),
        Route("/jobs/{job}/resume", jobs.resume, methods=["POST"]),
        Route("/jobs/{job}/retry", jobs.retry, methods=["POST"]),
        Route("/jobs/{job}/verdict", jobs.verdict),
        Route("/jobs/{job}/report", jobs.report),
        Route("/results", jobs.list_results),
        Route("/results/flagged", jobs.list_flagged),
        Route("/siblings", siblings.compare),
        Route("/ca", enrolment.authorities),
        Route("/enroll", enrolment.enrol, methods=["POST"]),
        Route("/renew", enrolment.renew, methods=["POST"]),
        Route("/enrolments", enrolment.invite, methods=["POST"]),
        Route("/boards", boards.list_all),
        Route("/boards/{board}/revoke", enrolment.revoke, methods=["POST"]),
        Route("/boards/{board}", boards.show, methods=["GET"]),
        Route("/boards/{board}", boards.change, methods=["PATCH"]),
        Route("/boards/{board}", boards.remove, methods=["DELETE"]),
        Route("/groups", groups.list_all),
        Route("/groups/{group}", groups.show, methods=["GET"]),
        Route("/groups/{group}", groups.put, methods=["PUT"]),
        Route("/groups/{group}", groups.remove, methods=["DELETE"]),
    ]


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
