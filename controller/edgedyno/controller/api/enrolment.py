"""Boards join, renew and are thrown out by HTTP."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from edgedyno.controller.api.parts import Parts, json_answer, parts_of, read_body
from edgedyno.controller.security.connection import board_of_connection, peer_of_connection
from edgedyno.core.enrolment import Enrolment, EnrolRequest, RenewRequest
from edgedyno.core.errors import EdgedynoError, UnsupportedError

if TYPE_CHECKING:
    from starlette.requests import Request

    from edgedyno.controller.security.keeper import Keeper
    from edgedyno.controller.store.certificates import Certificate

log = logging.getLogger(__name__)


class Invite(Struct, frozen=True, forbid_unknown_fields=True):
    """Make a token."""

    board: str | None = None
    expires_seconds: Annotated[float, Meta(gt=0, le=90 * 86_400)] = 3600.0


async def authorities(request: Request) -> Response:
    """Send the roots of this controller's CA, for whom a token has told their fingerprint."""
    return Response(_keeper(parts_of(request)).authority.bundle(), media_type="application/x-pem-file")


async def invite(request: Request) -> Response:
    """Make a one-time token for one board, or for any."""
    wanted = await read_body(request, Invite)
    parts = parts_of(request)
    registrar = _keeper(parts).registrar
    token, expires_at_unix = await parts.database.write(
        registrar.invite, wanted.board, url=parts.url, expires_seconds=wanted.expires_seconds
    )
    answer = {"token": token, "board": wanted.board, "expires_at_unix": expires_at_unix}
    return json_answer(answer, status=201)


async def enrol(request: Request) -> Response:
    """Let a board in that shows a token: sign its first certificate."""
    asked = await read_body(request, EnrolRequest)
    parts = parts_of(request)
    keeper = _keeper(parts)
    made = await parts.database.write(
        keeper.registrar.admit, secret=asked.secret, board=asked.board, request=asked.request
    )
    log.info("board %r is enrolled", asked.board, extra={"serial": made.serial})
    await _apply(keeper)
    return json_answer(_enrolment(parts, keeper, made), status=201)


async def renew(request: Request) -> Response:
    """Sign the next certificate of the board whose certificate the connection showed."""
    asked = await read_body(request, RenewRequest)
    parts = parts_of(request)
    keeper = _keeper(parts)
    board, peer = board_of_connection(request.scope), peer_of_connection(request.scope)
    if board is None or peer is None:
        raise UnsupportedError(
            "found no board's certificate on this connection, expected the one to renew",
            code="enroll.certificate",
        )
    made = await parts.database.write(
        keeper.registrar.renew, board=board, serial=peer.serial, request=asked.request
    )
    log.info("the certificate of board %r is renewed", board, extra={"serial": made.serial})
    return json_answer(_enrolment(parts, keeper, made), status=201)


async def revoke(request: Request) -> Response:
    """Throw a board out: its certificates count no more, its connections end."""
    board: str = request.path_params["board"]
    parts = parts_of(request)
    keeper = _keeper(parts)
    count = await parts.database.write(keeper.registrar.revoke, board)
    log.warning("board %r is thrown out", board)
    problem = await _apply(keeper)
    return json_answer({"board": board, "certificates": count, "problem": problem})


def _keeper(parts: Parts) -> Keeper:
    if parts.keeper is None:
        raise UnsupportedError(
            "this controller has no certificates: set `tls: true` in its configuration", code="enroll.off"
        )
    return parts.keeper


async def _apply(keeper: Keeper) -> str | None:
    """Tell contexts, connections and broker; return what could not be done yet and is tried again."""
    try:
        await keeper.apply()
    except (EdgedynoError, OSError) as error:
        log.warning("certificates: %s", error)
        keeper.wake()
        return str(error)
    return None


def _enrolment(parts: Parts, keeper: Keeper, made: Certificate) -> Enrolment:
    host, port = keeper.boards_broker(parts.url)
    return Enrolment(
        board=made.board,
        certificate=made.pem,
        ca=keeper.authority.bundle().decode(),
        controller_url=parts.url,
        broker_host=host,
        broker_port=port,
        issued_at_unix=made.issued_at_unix,
        expires_at_unix=made.expires_at_unix,
        signing_keys=parts.signing_keys(),
    )
