"""Queries over enrolment tokens and the boards' certificates. Times are Unix seconds: certificates know no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import Row, delete, insert, select, update

from edgedyno.controller.store.tables import certificates, enrolments

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sqlalchemy import Connection


class Token(Struct, frozen=True):
    """A one-time token without its secret."""

    secret_sha256: str
    board: str | None
    created_at_unix: float
    expires_at_unix: float
    used_by: str | None
    used_key_sha256: str | None


class Certificate(Struct, frozen=True):
    """A certificate of a board."""

    serial: str
    """In hex."""
    board: str
    key_sha256: str
    issued_at_unix: float
    expires_at_unix: float
    revoked_at_unix: float | None
    pem: str

    def valid(self, now_unix: float) -> bool:
        """Tell whether it counts at that time."""
        return self.revoked_at_unix is None and now_unix < self.expires_at_unix


def insert_token(
    connection: Connection, secret_sha256: str, board: str | None, *, now_unix: float, expires_at_unix: float
) -> None:
    """Keep a new token."""
    connection.execute(
        insert(enrolments).values(
            secret_sha256=secret_sha256,
            board=board,
            created_at_unix=now_unix,
            expires_at_unix=expires_at_unix,
        )
    )


def read_token(connection: Connection, secret_sha256: str) -> Token | None:
    """Return a token; others wait to use it until this transaction ends."""
    query = select(enrolments).where(enrolments.c.secret_sha256 == secret_sha256).with_for_update()
    row = connection.execute(query).first()
    return Token(**row._asdict()) if row else None


def use_token(connection: Connection, secret_sha256: str, *, board: str, key_sha256: str) -> None:
    """Note who has used a token."""
    connection.execute(
        update(enrolments)
        .where(enrolments.c.secret_sha256 == secret_sha256)
        .values(used_by=board, used_key_sha256=key_sha256)
    )


def drop_tokens(connection: Connection, board: str) -> None:
    """Forget the tokens of a board that nobody has used."""
    connection.execute(delete(enrolments).where(enrolments.c.board == board, enrolments.c.used_by.is_(None)))


def insert_certificate(connection: Connection, certificate: Certificate) -> None:
    """Keep a new certificate."""
    values = {name: getattr(certificate, name) for name in Certificate.__struct_fields__}
    connection.execute(insert(certificates).values(**values))


def of_board(connection: Connection, board: str, *, now_unix: float) -> list[Certificate]:
    """Return a board's certificates that count, the newest first."""
    query = select(certificates).where(
        certificates.c.board == board,
        certificates.c.revoked_at_unix.is_(None),
        certificates.c.expires_at_unix > now_unix,
    )
    return [
        _certificate(row) for row in connection.execute(query.order_by(certificates.c.issued_at_unix.desc()))
    ]


def unended(connection: Connection, *, now_unix: float) -> list[Certificate]:
    """Return all certificates, revoked or not, that have not ended; the oldest first."""
    query = select(certificates).where(certificates.c.expires_at_unix > now_unix)
    return [_certificate(row) for row in connection.execute(query.order_by(certificates.c.issued_at_unix))]


def revoke(connection: Connection, serials: Iterable[str], *, now_unix: float) -> None:
    """Let certificates count no more."""
    connection.execute(
        update(certificates)
        .where(certificates.c.serial.in_(sorted(serials)), certificates.c.revoked_at_unix.is_(None))
        .values(revoked_at_unix=now_unix)
    )


def _certificate(row: Row[Any]) -> Certificate:
    return Certificate(**row._asdict())
