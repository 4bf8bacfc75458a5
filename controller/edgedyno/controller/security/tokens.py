"""API tokens: made once, kept as a hash, looked up by what a request carries. Decides nothing about routes."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from sqlalchemy import insert, select, update

from edgedyno.controller.store.tables import api_tokens
from edgedyno.core.document import nearest
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from edgedyno.controller.store.database import Database

Scope = Literal["read", "submit", "admin", "board"]
LADDER: tuple[Scope, ...] = ("read", "submit", "admin")
"""Each holds what stands before it. `board` stands beside them: artifacts alone."""
PREFIX = "edgedyno_"  # lets scanners of repositories recognise a leaked token
_SECRET_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
# How long a controller may go on with what it last read: a revoked token is refused after this at the latest.
FRESH_SECONDS = 1.0


class Token(Struct, frozen=True):
    """A token without its secret."""

    name: str
    scope: Scope
    created_utc: str
    expires_at_unix: float | None = None
    revoked: bool = False

    def valid(self, now_unix: float) -> bool:
        """Tell whether it opens anything at that time."""
        return not self.revoked and (self.expires_at_unix is None or now_unix < self.expires_at_unix)


def hash_secret(secret: str) -> str:
    """Return what is kept of a secret. It has 256 random bits, so a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def create_token(
    connection: Connection, name: str, scope: Scope, *, lifetime_seconds: float | None = None
) -> str:
    """Make a token and return its secret, which is kept nowhere. Raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"found {name!r} as a token's name, expected 1 to 63 letters, digits, '_', '.' or '-'",
            code="token.name",
        )
    if any(token.name == name for token in read_tokens(connection).values()):
        raise ConfigError(
            f"found a token {name!r} already, expected a new name (revoked ones keep theirs)",
            code="token.exists",
        )
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    now = time.time()
    connection.execute(
        insert(api_tokens).values(
            name=name,
            secret_sha256=hash_secret(secret),
            scope=scope,
            created_utc=datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds"),
            expires_at_unix=None if lifetime_seconds is None else now + lifetime_seconds,
            revoked=False,
        )
    )
    return secret


def revoke_token(connection: Connection, name: str) -> None:
    """Let a token open nothing any more. Its row stays: a controller that had tokens never falls open again."""
    found = connection.execute(
        update(api_tokens).where(api_tokens.c.name == name).values(revoked=True)
    ).rowcount
    if not found:
        names = [token.name for token in read_tokens(connection).values()]
        raise ConfigError(f"found no token {name!r}{nearest(name, names)}", code="token.unknown")


def read_tokens(connection: Connection) -> dict[str, Token]:
    """Return all tokens by the hash of their secret, oldest first."""
    rows = connection.execute(select(api_tokens).order_by(api_tokens.c.created_utc, api_tokens.c.name))
    return {
        row.secret_sha256: Token(row.name, row.scope, row.created_utc, row.expires_at_unix, row.revoked)
        for row in rows
    }


class TokenBook:
    """The tokens as last read; a row more or less costs no query for each request."""

    def __init__(
        self,
        database: Database,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._unix = unix
        self._tokens: dict[str, Token] = {}
        self._read_at = float("-inf")

    async def find(self, secret: str) -> Token | None:
        """Return the valid token with this secret."""
        await self._refresh()
        token = self._tokens.get(hash_secret(secret))
        return token if token is not None and token.valid(self._unix()) else None

    async def in_use(self) -> bool:
        """Tell whether a token was ever made here: from then on nobody comes in without."""
        await self._refresh()
        return bool(self._tokens)

    async def _refresh(self) -> None:
        now = self._monotonic()
        if now - self._read_at >= FRESH_SECONDS:
            self._tokens = await self._database.read(read_tokens)
            self._read_at = now
