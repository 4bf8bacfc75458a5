"""Who asks, and whether that may do what it asks: the one access check of the API."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgedyno.controller.api.refusals import AccessError
from edgedyno.controller.security.connection import board_of_connection
from edgedyno.controller.security.tokens import LADDER, Scope

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request

    from edgedyno.controller.security.tokens import TokenBook

Need = Literal["open", "read", "submit", "admin"]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_STATE = "edgedyno.principal"


class Principal(Struct, frozen=True):
    """Who asks: a user with a token, a board, or anybody; `scope` is None for who may do nothing."""

    kind: Literal["user", "board", "anonymous"]
    name: str
    scope: Scope | None

    def may(self, need: Need, *, boards: bool = False) -> bool:
        """Tell whether this one may use a route that needs `need`; `boards` are let in where a route says so."""
        if need == "open":
            return True
        if self.scope == "board":
            return boards
        return self.scope is not None and LADDER.index(self.scope) >= LADDER.index(need)


def keep_principal(connection: HTTPConnection, principal: Principal) -> None:
    """Remember who asks for the request's handlers."""
    connection.scope[_STATE] = principal


def principal_of(request: HTTPConnection) -> Principal:
    """Return who asks."""
    principal: Principal = request.scope[_STATE]
    return principal


def check_access(request: Request, need: Need, *, boards: bool) -> None:
    """Raise AccessError when the one who asks may not."""
    who = principal_of(request)
    if who.may(need, boards=boards):
        return
    if who.kind == "anonymous":
        raise AccessError(
            "this controller wants a token: `edgedyno login URL`, or EDGEDYNO_TOKEN_FILE, or the header "
            "`Authorization: Bearer TOKEN`; its operator makes one by `edgedyno controller token create`",
            code="access.token",
            status=401,
        )
    raise AccessError(
        f"{who.kind} {who.name!r} has scope {who.scope}, expected {need} for {request.method} {request.url.path}",
        code="access.scope",
        status=403,
    )


async def authenticate(
    connection: HTTPConnection, tokens: TokenBook, *, anonymous: bool, loopback: bool
) -> Principal:
    """Find out who asks; raises AccessError for credentials that are none.

    `anonymous`: whoever shows nothing may do everything, as configured. `loopback`: so it is also where only
    this machine can ask and no token was ever made; then pages of other sites in a browser here are kept out.
    """
    board = board_of_connection(connection.scope)
    if board is not None:
        return Principal("board", board, "board")
    address = connection.client.host if connection.client else ""
    secret, is_page = _secret(connection)
    if secret is not None:
        token = await tokens.find(secret)
        if token is None:
            raise AccessError(
                "found a token that is unknown, expired or revoked", code="access.token", status=401
            )
        if token.scope == "board":
            return Principal("board", token.name, "board")
        return Principal("user", token.name, "read" if is_page else token.scope)
    if anonymous or (loopback and not await tokens.in_use()):
        if loopback:
            _check_origin(connection)
        return Principal("anonymous", address, "admin")
    return Principal("anonymous", address, None)


def _secret(connection: HTTPConnection) -> tuple[str | None, bool]:
    """Return what the request carries, and whether a browser sent it of itself.

    A browser asks its user for a password (the token; the name is ignored) and then adds it to whatever any
    page makes it send: so that way only reads, and only by methods that change nothing.
    """
    kind, _, text = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return text.strip(), False
    if kind.lower() != "basic":
        return None, False
    if connection.scope["method"] not in SAFE_METHODS:
        raise AccessError(
            "found a browser's password, expected `Authorization: Bearer TOKEN` to change anything",
            code="access.token",
            status=401,
        )
    try:
        plain = base64.b64decode(text.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError) as error:
        raise AccessError("found a damaged Authorization header", code="access.token", status=401) from error
    return plain.partition(":")[2], True


def _check_origin(connection: HTTPConnection) -> None:
    """Refuse what a foreign page makes a browser on this machine ask: by another name, or from another origin."""
    host = connection.headers.get("host", "")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    # By TLS a browser has checked the name itself.
    if name and connection.scope["scheme"] == "http" and not _is_this_machine(name.strip("[]")):
        raise AccessError(
            f"found the host name {host!r}, expected 127.0.0.1 or localhost while no token is made",
            code="access.host",
            status=403,
        )
    origin = connection.headers.get("origin")
    if connection.scope["method"] in SAFE_METHODS or origin is None:
        return
    if origin.partition("://")[2] != host:
        raise AccessError(
            f"found the origin {origin!r}, expected this controller's own", code="access.origin", status=403
        )


def _is_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
