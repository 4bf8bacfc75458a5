"""Every error as `{"error": {"code", "text"}}` with the status that suits its kind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from edgedyno.controller.api.parts import TooLargeError, json_answer
from edgedyno.controller.lifecycle import NotFoundError
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError, RunError, UnsupportedError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)
_STATUS: tuple[tuple[type[EdgedynoError], int], ...] = (
    (NotFoundError, 404),
    (TooLargeError, 413),
    (ConfigError, 400),
    (UnsupportedError, 422),
    (RetryableError, 503),
    (RunError, 500),
)
_BY_CODE = {
    # Well-formed calls that the state of things forbids.
    "job.ended": 409,
    "job.no-retry": 409,
    "job.paused": 409,
    "job.not-paused": 409,
    "group.in-use": 409,
    "artifact.too-large": 413,
    "artifact.wrong-content": 422,
    "disk.full": 507,
    "enroll.unknown": 403,
    "enroll.board": 403,
    "enroll.used": 403,
    "enroll.expired": 403,
    "enroll.taken": 409,
    "enroll.revoked": 403,
    "enroll.none": 404,
    "enroll.soon": 429,
}


def error_answer(code: str, text: str, status: int) -> Response:
    """Answer with an error."""
    return json_answer({"error": {"code": code, "text": text}}, status=status)


async def on_edgedyno_error(_request: Request, error: Exception) -> Response:
    """Answer with an error that was meant to be read."""
    if not isinstance(error, EdgedynoError):
        raise error
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return error_answer(error.code, str(error), _BY_CODE.get(error.code, status))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer for paths and methods that there are not."""
    if not isinstance(error, HTTPException):
        raise error
    codes = {404: "path.unknown", 405: "method.unknown"}
    text = f"{request.method} {request.url.path}: {error.detail}"
    answer = error_answer(codes.get(error.status_code, "http"), text, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def on_database_error(_request: Request, error: Exception) -> Response:
    """Answer while the database is away."""
    log.error("the database failed", exc_info=error)
    return error_answer("database.failed", "the database does not answer; try again", 503)


async def on_crash(_request: Request, error: Exception) -> Response:
    """Answer for what nobody foresaw; the traceback is in the log."""
    return error_answer("internal", f"{type(error).__name__} in the controller; its log says more", 500)


HANDLERS = {
    EdgedynoError: on_edgedyno_error,
    HTTPException: on_http_exception,
    DBAPIError: on_database_error,
    Exception: on_crash,
}
