"""Lets boards in: one-time tokens, first certificates, renewals, revocation. In transactions; tells no broker."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from edgedyno.controller.security.certificates import (
    common_name,
    key_sha256,
    open_request,
    pem,
    request_key,
)
from edgedyno.controller.store import certificates as store
from edgedyno.controller.store.certificates import Certificate
from edgedyno.core.enrolment import Invitation, hash_secret, write_token
from edgedyno.core.errors import ConfigError, RetryableError
from edgedyno.core.topics import check_board_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509
    from sqlalchemy import Connection

    from edgedyno.controller.security.authority import Authority

_SECRET_BYTES = 32
# A board asks once in two thirds of a life; one that asks in a loop fills no table.
SOONEST_SHARE = 1 / 20


class RefusedError(ConfigError):
    """A board is not let in."""

    code = "enroll.refused"


class Registrar:
    """Signs what boards may have signed, and writes down what it signed."""

    def __init__(
        self, authority: Authority, *, lifetime_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.authority = authority
        self._lifetime_seconds = lifetime_seconds
        self._clock = clock

    def invite(
        self, connection: Connection, board: str | None, *, url: str, expires_seconds: float
    ) -> tuple[str, float]:
        """Make a token for one board, or for any; return it and when it ends, in Unix seconds."""
        if board is not None:
            check_board_id(board)
        if not url.startswith("https://"):
            raise ConfigError(
                f"found {url!r} as the address that boards get, expected https://HOST:PORT: a token is told to "
                "no controller that cannot prove who it is; set `tls: true`",
                code="enroll.tls",
            )
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        now = self._clock()
        store.insert_token(
            connection, hash_secret(secret), board, now_unix=now, expires_at_unix=now + expires_seconds
        )
        invitation = Invitation(url=url, ca_sha256=self.authority.fingerprint, secret=secret, board=board)
        return write_token(invitation), now + expires_seconds

    def admit(self, connection: Connection, *, secret: str, board: str, request: str) -> Certificate:
        """Give a board its first certificate; asked again with the same key, the same one.

        Older certificates of the board stop counting: whoever has a token for it says that it begins anew.
        Raises RefusedError, ConfigError.
        """
        asked = self._open(request, board)
        name = key_sha256(request_key(asked))
        token = store.read_token(connection, hash_secret(secret))
        if token is None:
            raise RefusedError(
                "found an enrolment token that this controller did not make", code="enroll.unknown"
            )
        if token.board is not None and token.board != board:
            raise RefusedError(
                f"found board {board!r}, expected {token.board!r}, which the token was made for",
                code="enroll.board",
            )
        if token.used_by is not None:
            return self._repeat(connection, token, board, name)
        now = self._clock()
        if now >= token.expires_at_unix:
            raise RefusedError(
                f"the enrolment token ended {now - token.expires_at_unix:.0f} s ago; make a new one",
                code="enroll.expired",
            )
        older = store.of_board(connection, board, now_unix=now)
        if older and token.board is None:
            raise RefusedError(
                f"board {board!r} is enrolled already; make a token for it by name, or choose another id",
                code="enroll.taken",
            )
        store.use_token(connection, token.secret_sha256, board=board, key_sha256=name)
        store.revoke(connection, [one.serial for one in older], now_unix=now)
        return self._sign(connection, asked, board)

    def _repeat(self, connection: Connection, token: store.Token, board: str, name: str) -> Certificate:
        """Answer a board again that did not hear, or could not keep, the first answer."""
        for one in store.of_board(connection, board, now_unix=self._clock()):
            if token.used_by == board and one.key_sha256 == name == token.used_key_sha256:
                return one
        raise RefusedError(
            f"the enrolment token was used already, by board {token.used_by!r}; make a new one",
            code="enroll.used",
        )

    def renew(self, connection: Connection, *, board: str, serial: int, request: str) -> Certificate:
        """Give a board its next certificate. Raises RefusedError, ConfigError, RetryableError."""
        asked = self._open(request, board)
        name = key_sha256(request_key(asked))
        now = self._clock()
        valid = store.of_board(connection, board, now_unix=now)
        if f"{serial:x}" not in {one.serial for one in valid}:
            raise RefusedError(
                f"the certificate of board {board!r} does not count any more; enrol it anew",
                code="enroll.revoked",
            )
        for one in valid:
            if one.key_sha256 == name:
                return one
        wait = valid[0].issued_at_unix + self._lifetime_seconds * SOONEST_SHARE - now
        if wait > 0:
            raise RetryableError(
                f"board {board!r} has a new certificate; again in {wait:.0f} s", code="enroll.soon"
            )
        return self._sign(connection, asked, board)

    def revoke(self, connection: Connection, board: str) -> int:
        """Let no certificate of a board count, nor a token for it, and return how many certificates did.

        Raises RefusedError where there was none.
        """
        now = self._clock()
        valid = store.of_board(connection, board, now_unix=now)
        if not valid:
            raise RefusedError(f"found no certificate of board {board!r}", code="enroll.none")
        store.revoke(connection, [one.serial for one in valid], now_unix=now)
        store.drop_tokens(connection, board)
        return len(valid)

    def _open(self, request: str, board: str) -> x509.CertificateSigningRequest:
        check_board_id(board)
        asked = open_request(request)
        if common_name(asked) != board:
            raise RefusedError(
                f"found a certificate request of {common_name(asked)!r}, expected {board!r}",
                code="enroll.request",
            )
        return asked

    def _sign(self, connection: Connection, asked: x509.CertificateSigningRequest, board: str) -> Certificate:
        key = request_key(asked)
        signed = self.authority.certify(key, board, usage="client", seconds=self._lifetime_seconds)
        made = Certificate(
            serial=f"{signed.serial_number:x}",
            board=board,
            key_sha256=key_sha256(key),
            issued_at_unix=self._clock(),
            expires_at_unix=signed.not_valid_after_utc.timestamp(),
            revoked_at_unix=None,
            pem=pem(signed).decode(),
        )
        store.insert_certificate(connection, made)
        return made
