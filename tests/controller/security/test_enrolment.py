"""Tokens, first certificates, renewals and revocation, in the database."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgedyno.controller.security.authority import Authority
from edgedyno.controller.security.enrolment import Registrar
from edgedyno.controller.store import certificates as store
from edgedyno.controller.store.tables import enrolments
from edgedyno.core.enrolment import read_token
from edgedyno.core.errors import ConfigError, EdgedynoError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgedyno.controller.store.certificates import Certificate
    from edgedyno.controller.store.database import Database

URL = "https://controller.lan:8443"
LIFE_SECONDS = 1000.0


class Clock:
    """A wall clock that a test moves."""

    now = dt.datetime.now(dt.timezone.utc).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def registrar(tmp_path: Path, clock: Clock) -> Registrar:
    """Return who signs."""
    return Registrar(
        Authority.ensure(tmp_path / "ca", clock=clock), lifetime_seconds=LIFE_SECONDS, clock=clock
    )


def request(board: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> str:
    """Return a certificate request, of a new key unless there is one."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, board)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


class Desk:
    """The registrar as a test asks it."""

    def __init__(self, database: Database, registrar: Registrar) -> None:
        self._database = database
        self._registrar = registrar

    def token(self, board: str | None, expires_seconds: float = 60.0) -> str:
        """Make a token and return its secret."""
        made, _ = self._database.write_now(
            self._registrar.invite, board, url=URL, expires_seconds=expires_seconds
        )
        return read_token(made).secret

    def admit(self, secret: str, board: str, asked: str | None = None) -> Certificate:
        """Let a board in."""
        return self._database.write_now(
            self._registrar.admit, secret=secret, board=board, request=asked or request(board)
        )

    def renew(self, board: str, old: Certificate, asked: str | None = None) -> Certificate:
        """Renew a certificate."""
        return self._database.write_now(
            self._registrar.renew, board=board, serial=int(old.serial, 16), request=asked or request(board)
        )

    def revoke(self, board: str) -> int:
        """Throw a board out."""
        return self._database.write_now(self._registrar.revoke, board)


@pytest.fixture
def desk(database: Database, registrar: Registrar) -> Desk:
    """Return the registrar over a database."""
    return Desk(database, registrar)


@contextmanager
def refused(code: str) -> Iterator[None]:
    """Expect a refusal with a code."""
    with pytest.raises(EdgedynoError) as caught:
        yield
    assert caught.value.code == code


def test_a_token_tells_where_to_go_and_whom_to_trust(database: Database, registrar: Registrar) -> None:
    token, _ = database.write_now(registrar.invite, "rpi4", url=URL, expires_seconds=60.0)
    invitation = read_token(token)
    assert (invitation.url, invitation.board) == (URL, "rpi4")
    assert invitation.ca_sha256 == registrar.authority.fingerprint


def test_the_database_keeps_no_secret(desk: Desk, database: Database) -> None:
    secret = desk.token("rpi4")
    rows = database.read_now(lambda connection: connection.execute(enrolments.select()).all())
    assert secret not in str(rows)


def test_a_certificate_is_the_boards_and_a_clients_only(desk: Desk) -> None:
    made = x509.load_pem_x509_certificate(desk.admit(desk.token("rpi4"), "rpi4").pem.encode())
    assert made.subject.rfc4514_string() == "CN=rpi4"
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_used_token_is_refused(desk: Desk) -> None:
    secret = desk.token("rpi4")
    desk.admit(secret, "rpi4")
    with refused("enroll.used"):
        desk.admit(secret, "rpi4")


def test_the_same_key_asks_again_and_gets_the_same_certificate(desk: Desk, clock: Clock) -> None:
    secret, asked = desk.token("rpi4"), request("rpi4")
    first = desk.admit(secret, "rpi4", asked)
    clock.now += 100.0
    assert desk.admit(secret, "rpi4", asked) == first


def test_an_expired_token_is_refused(desk: Desk, clock: Clock) -> None:
    secret = desk.token("rpi4", expires_seconds=60.0)
    clock.now += 61.0
    with refused("enroll.expired"):
        desk.admit(secret, "rpi4")


def test_a_token_of_another_board_is_refused(desk: Desk) -> None:
    with refused("enroll.board"):
        desk.admit(desk.token("rpi4"), "orin")


def test_a_token_that_nobody_made_is_refused(desk: Desk) -> None:
    with refused("enroll.unknown"):
        desk.admit("x" * 43, "rpi4")


def test_a_token_for_any_board_takes_no_boards_place(desk: Desk) -> None:
    desk.admit(desk.token("rpi4"), "rpi4")
    secret = desk.token(None)
    with refused("enroll.taken"):
        desk.admit(secret, "rpi4")
    assert desk.admit(secret, "orin").board == "orin"


def test_a_new_token_for_a_board_ends_its_older_certificates(desk: Desk) -> None:
    old = desk.admit(desk.token("rpi4"), "rpi4")
    desk.admit(desk.token("rpi4"), "rpi4")
    with refused("enroll.revoked"):
        desk.renew("rpi4", old)


@pytest.mark.parametrize("board", ["controller", "keeper@controller", "+", "a/b", "-a", "a" * 64])
def test_ids_that_no_board_can_have_are_refused(desk: Desk, board: str) -> None:
    with refused("board.id"):
        desk.admit(desk.token(None), board)


def test_a_request_in_anothers_name_is_refused(desk: Desk) -> None:
    with refused("enroll.request"):
        desk.admit(desk.token("rpi4"), "rpi4", request("orin"))


@pytest.mark.parametrize(
    "text", ["", "no request", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"]
)
def test_what_is_no_request_is_refused(desk: Desk, text: str) -> None:
    with refused("enroll.request"):
        desk.admit(desk.token("rpi4"), "rpi4", text or "\n")


def test_a_request_for_anothers_key_is_refused(desk: Desk) -> None:
    asked = x509.load_pem_x509_csr(request("rpi4").encode())
    raw = bytearray(asked.public_bytes(serialization.Encoding.DER))
    raw[-1] ^= 1
    try:
        damaged = x509.load_der_x509_csr(bytes(raw)).public_bytes(serialization.Encoding.PEM).decode()
    except ValueError:
        pytest.fail("expected a request that can be read")
    with refused("enroll.request"):
        desk.admit(desk.token("rpi4"), "rpi4", damaged)


def test_a_key_of_another_kind_is_refused(desk: Desk) -> None:
    with refused("enroll.request"):
        desk.admit(
            desk.token("rpi4"), "rpi4", request("rpi4", rsa.generate_private_key(65537, key_size=2048))
        )


def test_a_renewal_adds_a_certificate(desk: Desk, clock: Clock) -> None:
    old = desk.admit(desk.token("rpi4"), "rpi4")
    clock.now += LIFE_SECONDS * 2 / 3
    new = desk.renew("rpi4", old)
    assert new.serial != old.serial
    assert new.expires_at_unix > old.expires_at_unix


def test_renewing_in_a_loop_is_refused(desk: Desk, clock: Clock) -> None:
    old = desk.admit(desk.token("rpi4"), "rpi4")
    with refused("enroll.soon"):
        desk.renew("rpi4", old)
    clock.now += LIFE_SECONDS / 2
    asked = request("rpi4")
    new = desk.renew("rpi4", old, asked)
    assert desk.renew("rpi4", old, asked) == new
    with refused("enroll.soon"):
        desk.renew("rpi4", new)


def test_another_board_renews_nothing(desk: Desk, clock: Clock) -> None:
    desk.admit(desk.token("rpi4"), "rpi4")
    orin = desk.admit(desk.token("orin"), "orin")
    clock.now += LIFE_SECONDS / 2
    with refused("enroll.revoked"):
        desk.renew("rpi4", orin)


def test_a_revoked_board_renews_nothing_and_can_be_enrolled_anew(desk: Desk, clock: Clock) -> None:
    old = desk.admit(desk.token("rpi4"), "rpi4")
    waiting = desk.token("rpi4")
    assert desk.revoke("rpi4") == 1
    clock.now += LIFE_SECONDS / 2
    with refused("enroll.revoked"):
        desk.renew("rpi4", old)
    with refused("enroll.unknown"):
        desk.admit(waiting, "rpi4")
    assert desk.admit(desk.token("rpi4"), "rpi4").board == "rpi4"


def test_who_has_no_certificate_cannot_be_thrown_out(desk: Desk) -> None:
    with refused("enroll.none"):
        desk.revoke("rpi4")


def test_without_https_no_token_is_made(database: Database, registrar: Registrar) -> None:
    with pytest.raises(ConfigError, match="https"):
        database.write_now(registrar.invite, "rpi4", url="http://controller.lan:8080", expires_seconds=60.0)


def test_an_ended_certificate_does_not_count(desk: Desk, database: Database, clock: Clock) -> None:
    old = desk.admit(desk.token("rpi4"), "rpi4")
    clock.now += LIFE_SECONDS + 1
    with refused("enroll.revoked"):
        desk.renew("rpi4", old)
    assert database.read_now(lambda connection: store.unended(connection, now_unix=clock.now)) == []
