"""What board and controller say to each other when a board joins: the token and three messages. No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edgedyno.core.broker import Port
from edgedyno.core.errors import ConfigError

PREFIX = "edgedyno1"
_CHECK_DIGITS = 8
Short = Annotated[str, Meta(max_length=255)]


class Invitation(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a one-time token holds: where to go, how to know the controller there, and what to show it."""

    url: Annotated[str, Meta(pattern=r"^https://[^/]+", max_length=255)]
    ca_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    """The fingerprint of the controller's CA, so that the secret is told to no other."""
    secret: Annotated[str, Meta(min_length=20, max_length=100)]
    board: Short | None = None
    """The only board that may use it; None: the one that does."""


class EnrolRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A board asks for its first certificate."""

    secret: Annotated[str, Meta(max_length=100)]
    board: Short
    request: Annotated[str, Meta(max_length=8192)]
    """A PKCS #10 certificate signing request, in PEM."""


class RenewRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A board asks for its next certificate, by its present one."""

    request: Annotated[str, Meta(max_length=8192)]


class Enrolment(Struct, frozen=True):
    """What a board gets: who it is from now on, whom it trusts and where it goes. Times are Unix seconds."""

    board: Short
    certificate: str
    ca: str
    """The roots to trust, in PEM."""
    controller_url: Short
    broker_host: Short
    broker_port: Port
    issued_at_unix: float
    expires_at_unix: float
    signing_keys: list[str] = []
    """Public keys of whom job manifests must be signed by; none where the controller does not sign."""


class Identity(Struct, frozen=True):
    """What a board keeps of its enrolment beside key and certificates. Times are Unix seconds."""

    board: Short
    controller_url: Short
    broker_host: Short
    broker_port: Port
    issued_at_unix: float
    expires_at_unix: float


def write_token(invitation: Invitation) -> str:
    """Return a token: the invitation with a check sum, in letters that survive copying."""
    body = base64.urlsafe_b64encode(msgspec.json.encode(invitation)).decode().rstrip("=")
    return f"{PREFIX}.{body}.{_check(body)}"


def read_token(text: str) -> Invitation:
    """Read a token; raises ConfigError for one that is damaged."""
    prefix, _, rest = text.strip().partition(".")
    body, _, check = rest.partition(".")
    if prefix != PREFIX or not body:
        raise ConfigError(
            f"found no enrolment token, expected one that begins with `{PREFIX}.`, as `edgedyno controller "
            "enroll` prints it",
            code="enroll.token",
        )
    if check != _check(body):
        raise ConfigError(
            "found an enrolment token whose check sum does not fit: it was cut or changed on its way",
            code="enroll.altered",
        )
    try:
        return msgspec.json.decode(base64.b64decode(body + "=" * (-len(body) % 4), b"-_"), type=Invitation)
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(
            f"found an enrolment token that cannot be read: {error}", code="enroll.token"
        ) from error


def hash_secret(secret: str) -> str:
    """Return what the controller keeps of a token: its 256 random bits cannot be guessed back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _check(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()[:_CHECK_DIGITS]
