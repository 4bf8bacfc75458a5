"""Every route once: method, path, who may, what goes in and out. The application and its OpenAPI are made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from edgedyno.controller.api import artifacts, boards, enrolment, groups, health, jobs, openapi, siblings
from edgedyno.controller.lab.language import LANGUAGES
from edgedyno.controller.web import pages
from edgedyno.core.enrolment import EnrolRequest, RenewRequest
from edgedyno.core.job import JobSpec
from edgedyno.core.manifest import ResolvedJob
from edgedyno.core.targets import BoardSelector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from edgedyno.controller.api.access import Need

PREFIX = "/api/v1"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One route."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    """Below the prefix, but for pages."""
    handler: Callable[[Request], Awaitable[Response]]
    need: Need
    """The scope that a user needs; `open` is for anybody."""
    boards: bool = False
    """Whether a board may call it as well."""
    body: Any = None
    """The type of its JSON, `bytes` for a file, None for a call without a body."""
    query: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Query parameters with the values that each may have; any text where there are none."""
    at_root: bool = False
    answers: str = "application/json"

    @property
    def summary(self) -> str:
        """What it does: the first sentence of its handler."""
        return (self.handler.__doc__ or "").partition("\n")[0].strip()


_PAGE = "text/html"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(method="GET", path="/", handler=pages.index, need="read", at_root=True, answers=_PAGE),
    Endpoint(method="GET", path="/healthz", handler=health.healthz, need="open"),
    Endpoint(method="GET", path="/metrics", handler=health.metrics, need="read", answers="text/plain"),
    Endpoint(method="GET", path="/openapi.json", handler=openapi.document, need="open"),
    Endpoint(
        method="POST",
        path="/artifacts/missing",
        handler=artifacts.missing,
        need="submit",
        body=artifacts.Wanted,
    ),
    Endpoint(
        method="GET",
        path="/artifacts/{sha256}",
        handler=artifacts.get,
        need="read",
        boards=True,
        answers="application/octet-stream",
    ),
    Endpoint(
        method="PUT",
        path="/artifacts/{sha256}",
        handler=artifacts.put,
        need="submit",
        boards=True,
        body=bytes,
    ),
    Endpoint(method="POST", path="/jobs", handler=jobs.submit, need="submit", body=ResolvedJob),
    Endpoint(method="GET", path="/jobs", handler=jobs.list_all, need="read"),
    Endpoint(method="POST", path="/jobs/plan", handler=jobs.plan, need="read", body=JobSpec),
    Endpoint(method="GET", path="/jobs/{job}", handler=jobs.show, need="read"),
    Endpoint(method="POST", path="/jobs/{job}/cancel", handler=jobs.cancel, need="submit"),
    Endpoint(method="POST", path="/jobs/{job}/pause", handler=jobs.pause, need="submit"),
    Endpoint(method="POST", path="/jobs/{job}/resume", handler=jobs.resume, need="submit"),
    Endpoint(method="POST", path="/jobs/{job}/retry", handler=jobs.retry, need="submit"),
    Endpoint(
        method="GET",
        path="/jobs/{job}/verdict",
        handler=jobs.verdict,
        need="read",
        query={"language": tuple(LANGUAGES)},
    ),
    Endpoint(
        method="GET",
        path="/jobs/{job}/report",
        handler=jobs.report,
        need="read",
        query={"language": tuple(LANGUAGES), "images": ("yes", "no")},
        answers=_PAGE,
    ),
    Endpoint(
        method="GET",
        path="/results",
        handler=jobs.list_results,
        need="read",
        query=dict.fromkeys(jobs.FILTERS, ()),
    ),
    Endpoint(
        method="GET", path="/results/flagged", handler=jobs.list_flagged, need="read", query={"job": ()}
    ),
    Endpoint(method="GET", path="/siblings", handler=siblings.compare, need="read", query={"job": ()}),
    Endpoint(method="GET", path="/boards", handler=boards.list_all, need="read"),
    Endpoint(method="GET", path="/boards/{board}", handler=boards.show, need="read"),
    # What these three take is checked by what the caller shows: a fingerprint, a one-time token, a certificate.
    Endpoint(
        method="GET", path="/ca", handler=enrolment.authorities, need="open", answers="application/x-pem-file"
    ),
    Endpoint(method="POST", path="/enroll", handler=enrolment.enrol, need="open", body=EnrolRequest),
    Endpoint(method="POST", path="/renew", handler=enrolment.renew, need="open", body=RenewRequest),
    Endpoint(
        method="POST", path="/enrolments", handler=enrolment.invite, need="admin", body=enrolment.Invite
    ),
    Endpoint(method="POST", path="/boards/{board}/revoke", handler=enrolment.revoke, need="admin"),
    Endpoint(method="DELETE", path="/boards/{board}", handler=boards.remove, need="admin"),
    Endpoint(method="GET", path="/groups", handler=groups.list_all, need="read"),
    Endpoint(method="GET", path="/groups/{group}", handler=groups.show, need="read"),
    Endpoint(method="PUT", path="/groups/{group}", handler=groups.put, need="admin", body=BoardSelector),
    Endpoint(method="DELETE", path="/groups/{group}", handler=groups.remove, need="admin"),
    Endpoint(method="PATCH", path="/boards/{board}", handler=boards.change, need="admin", body=boards.Change),
)
ALSO_AT_ROOT = frozenset({"/healthz", "/metrics"})
