"""What is signed of an assignment, and what a board pins: words of both sides. No cryptography here."""

from __future__ import annotations

import base64
import binascii
import hashlib

import msgspec
from msgspec import Struct

from edgedyno.core.errors import ConfigError
from edgedyno.core.profile import Sha256

# What is signed begins with this, so that no signature for another purpose can ever pass for one of these.
DOMAIN = b"edgedyno manifest v1\0"
PUBLIC_KEY_BYTES = 32


class Order(Struct, frozen=True):
    """What a controller puts its name to: this board may run this attempt, with exactly this manifest."""

    board: str
    execution: str
    attempt: int
    request_id: str
    """The question that it answers. The board made it up at random, so an old answer fits no new question."""
    manifest_sha256: Sha256
    """Of the manifest's bytes as they stand in the message."""
    lifetime_seconds: float
    """How long after its question the board may take this answer, by its own monotonic clock."""
    issued_utc: str = ""
    """For people; nothing depends on it."""


class Signed(Struct, frozen=True):
    """An order with its signature."""

    payload: str
    """The order's exact text; decoded only after its signature was found good."""
    key_id: str
    signature: str
    """Ed25519, base64."""


class TrustedKey(Struct, frozen=True):
    """A public key that may sign."""

    key_id: str
    public_key: str
    """Its 32 bytes, base64."""


class TrustedKeys(Struct, frozen=True):
    """The file of pinned keys, as enrolment writes it: public keys in base64."""

    signing_keys: list[str] = []


def signed_bytes(payload: str) -> bytes:
    """Return what the signature of a payload is over."""
    return DOMAIN + payload.encode()


def key_id_of(public_key: bytes) -> str:
    """Return the name of a public key: the beginning of its hash."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def trusted_key(public_key: bytes) -> TrustedKey:
    """Return a public key as it is written down."""
    return TrustedKey(key_id_of(public_key), base64.b64encode(public_key).decode())


def read_public_key(text: str, *, place: str) -> bytes:
    """Return a public key's bytes from base64. Raises ConfigError that begins with `place`."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != PUBLIC_KEY_BYTES:
        raise ConfigError(
            f"{place}: found {text!r}, expected an Ed25519 public key: 32 bytes in base64, as "
            "`edgedyno controller signing-key show` prints it",
            code="trust.key",
        )
    return found


def read_order(payload: str) -> Order:
    """Decode a payload whose signature is good. Raises ConfigError."""
    try:
        return msgspec.json.decode(payload, type=Order)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not an order: {error}", code="message.invalid") from error
