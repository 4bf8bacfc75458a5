"""The controller's signing keys: made at the first start, shown, rotated; orders signed with the current one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edgedyno.core.errors import ConfigError
from edgedyno.core.signing import Order, Signed, TrustedKey, signed_bytes, trusted_key

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.manifest import Manifest
    from edgedyno.core.messages import Response

# A board asks again after this; enough for a slow link, little enough that a held answer is soon worth nothing.
LIFETIME_SECONDS = 600.0
CURRENT, NEXT, OLD = "current.pem", "next.pem", "old.pem"


class Signer:
    """Signs orders with one key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = _public(key)

    def signed(self, board: str, response: Response) -> Response:
        """Return a response with the signature that its manifest needs, as it is when it has none."""
        if response.manifest is None or response.record is None:
            return response
        signed = self.sign(
            response.manifest, board=board, attempt=response.record.attempt, request_id=response.request_id
        )
        return msgspec.structs.replace(response, signed=signed)

    def sign(self, manifest: Manifest, *, board: str, attempt: int, request_id: str) -> Signed:
        """Sign that `board` may run this attempt with this manifest, in answer to this request."""
        order = Order(
            board=board,
            execution=manifest.execution,
            attempt=attempt,
            request_id=request_id,
            # Encoded within its message a value has the same bytes as alone.
            manifest_sha256=hashlib.sha256(msgspec.json.encode(manifest)).hexdigest(),
            lifetime_seconds=LIFETIME_SECONDS,
            issued_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        payload = msgspec.json.encode(order).decode()
        signature = self._key.sign(signed_bytes(payload))
        return Signed(payload, self.public_key.key_id, base64.b64encode(signature).decode())


def open_signer(folder: Path) -> Signer:
    """Return the signer with the folder's current key, made if there is none. Raises ConfigError."""
    file = folder / CURRENT
    if not file.exists():
        _write(file, Ed25519PrivateKey.generate())
    return Signer(_read(file))


def keys_to_pin(signer: Signer, folder: Path) -> list[str]:
    """Return the public keys that boards are given now: the one in use, and those of the folder as it is.

    A rotation is prepared and finished beside the running controller, which signs by its own key until its end.
    """
    keys = [signer.public_key, *(key for _, key in public_keys(folder))]
    return list(dict.fromkeys(key.public_key for key in keys))


def public_keys(folder: Path) -> list[tuple[str, TrustedKey]]:
    """Return the public keys that boards should pin: `current`, and `next` while a rotation is under way."""
    files = [folder / name for name in (CURRENT, NEXT) if (folder / name).exists()]
    return [(file.stem, _public(_read(file))) for file in files]


def prepare_rotation(folder: Path) -> TrustedKey:
    """Make the next key, for boards to pin beside the current one, which goes on signing."""
    file = folder / NEXT
    if file.exists():
        raise ConfigError(
            "found a next key already, expected none: pin it on the boards, then "
            "`edgedyno controller signing-key rotate --activate`",
            code="signing.rotating",
        )
    _write(file, Ed25519PrivateKey.generate())
    return _public(_read(file))


def finish_rotation(folder: Path) -> TrustedKey:
    """Let the next key sign from the controller's next start on; the one before is kept beside, for a way back."""
    file = folder / NEXT
    if not file.exists():
        raise ConfigError(
            "found no next key, expected one: `edgedyno controller signing-key rotate` makes it",
            code="signing.none",
        )
    key = _public(_read(file))
    if (folder / CURRENT).exists():
        (folder / CURRENT).replace(folder / OLD)
    file.replace(folder / CURRENT)
    return key


def _public(key: Ed25519PrivateKey) -> TrustedKey:
    return trusted_key(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _read(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"the signing key {file} cannot be read: {error}", code="signing.key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{file}: found a {type(key).__name__}, expected an Ed25519 key", code="signing.key"
        )
    return key


def _write(file: Path, key: Ed25519PrivateKey) -> None:
    """Write a key for this user only; two that start at once get the same one."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(pem)
            target.flush()
            os.fsync(target.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, file)
        part.unlink()
    except OSError as error:
        raise ConfigError(f"the signing key {file} cannot be written: {error}", code="signing.key") from error
