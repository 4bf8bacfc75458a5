"""Every error as `{"error": {"code", "text"}}` with the status that suits its kind."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from edgedyno.controller.api.parts import json_answer
from edgedyno.controller.api.refusals import AccessError, RateError, SlowBodyError, TooLargeError
from edgedyno.controller.lifecycle import NotFoundError
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError, RunError, UnsupportedError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)
_STATUS: tuple[tuple[type[EdgedynoError], int], ...] = (
    (NotFoundError, 404),
    (TooLargeError, 413),
    (RateError, 429),
    (SlowBodyError, 408),
    (ConfigError, 400),
    (UnsupportedError, 422),
    (RetryableError, 503),
    (RunError, 500),
)
# A browser asks its user; programs read the first word.
_CHALLENGE = 'Bearer realm="edgedyno", Basic realm="edgedyno: any name, and a token as the password"'
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
    "artifact.rights": 403,
    "artifact.unnamed": 403,
    "enroll.unknown": 403,
    "enroll.board": 403,
    "enroll.used": 403,
    "enroll.expired": 403,
    "enroll.taken": 409,
    "enroll.revoked": 403,
    "enroll.none": 404,
    "enroll.soon": 429,
    "request.headers": 431,
    "request.path": 414,
}


def error_answer(code: str, text: str, status: int) -> Response:
    """Answer with an error."""
    return json_answer({"error": {"code": code, "text": text}}, status=status)


async def on_edgedyno_error(_request: Request, error: Exception) -> Response:
    """Answer with an error that was meant to be read."""
    if not isinstance(error, EdgedynoError):
        raise error
    return refuse(error)


def refuse(error: EdgedynoError) -> Response:
    """Answer with an error that was meant to be read."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    answer = error_answer(error.code, str(error), _BY_CODE.get(error.code, status))
    if isinstance(error, RateError):
        answer.headers["retry-after"] = str(math.ceil(error.wait_seconds))
    if isinstance(error, AccessError):
        answer.status_code = error.status
        if error.status == HTTPStatus.UNAUTHORIZED:
            answer.headers["www-authenticate"] = _CHALLENGE
    return answer


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
    if "disk is full" in str(getattr(error, "orig", "")):
        log.error("the database cannot grow: the disk is full")
        return error_answer("disk.full", "the controller's disk is full; nothing was stored", 507)
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
