"""Joins a controller and renews its certificate: keys, requests, HTTPS. Runs in processes that end soon.

Needs the `cryptography` library (extra `enroll`); the daemon never imports this.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import shutil
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from edgedyno.agent.files import fsync_folder
from edgedyno.agent.identity import (
    CERTIFICATE,
    FACTS,
    KEY,
    LINK,
    ROOTS,
    TRUSTED,
    give_to_owner,
    https_context,
    read_identity,
    tls_of,
    write_identity,
    write_private,
)
from edgedyno.core.enrolment import Enrolment, EnrolRequest, Identity, Invitation, RenewRequest, read_token
from edgedyno.core.errors import ConfigError, EdgedynoError, RetryableError, UnsupportedError
from edgedyno.core.signing import TrustedKeys, read_public_key
from edgedyno.core.topics import check_board_id

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_SECONDS = 20.0
MAX_ANSWER_BYTES = 1 << 20
_PENDING = f"{LINK}.pending"


def join(state_dir: Path, token: str, *, board: str | None, hostname: str) -> Identity:
    """Make a key, have it certified with a one-time token, and keep the identity.

    It can be repeated with the same token when it broke off anywhere: the key is the same, and so the answer.
    Raises ConfigError, RetryableError, UnsupportedError.
    """
    invitation = read_token(token)
    if board is not None and invitation.board not in (None, board):
        raise ConfigError(
            f"--board: found {board!r}, expected {invitation.board!r}, which the token was made for",
            code="enroll.board",
        )
    name = check_board_id(invitation.board or board or hostname)
    roots = _first_contact(invitation)
    key = _pending_key(state_dir, token)
    asked = EnrolRequest(secret=invitation.secret, board=name, request=_request(key, name))
    answer = _ask(invitation.url, "/enroll", asked, _context_of(roots))
    return _keep(state_dir, key, answer)


def renew(state_dir: Path) -> Identity:
    """Have a new key certified by the present certificate, and keep the new identity.

    Raises ConfigError, RetryableError, UnsupportedError.
    """
    identity = read_identity(state_dir)
    if identity is None:
        raise ConfigError(
            f"found no identity in {state_dir}; `edgedyno agent enroll TOKEN` makes one", code="identity.none"
        )
    key = _pending_key(state_dir, f"renew {identity.expires_at_unix}")
    asked = RenewRequest(request=_request(key, identity.board))
    answer = _ask(identity.controller_url, "/renew", asked, https_context(tls_of(state_dir)))
    return _keep(state_dir, key, answer)


def _keep(state_dir: Path, key: bytes, answer: Enrolment) -> Identity:
    _check_certificate(key, answer)
    for text in answer.signing_keys:
        read_public_key(text, place="the controller's answer")
    identity = msgspec.convert(msgspec.to_builtins(answer), Identity)
    files = {
        KEY: key,
        CERTIFICATE: answer.certificate.encode(),
        ROOTS: answer.ca.encode(),
        TRUSTED: msgspec.json.encode(TrustedKeys(answer.signing_keys)),
        FACTS: msgspec.json.encode(identity),
    }
    write_identity(state_dir, files, name=hashlib.sha256(files[CERTIFICATE]).hexdigest()[:12])
    shutil.rmtree(state_dir / _PENDING, ignore_errors=True)
    return identity


def _pending_key(state_dir: Path, purpose: str) -> bytes:
    """Return the key for this purpose, made and written down at the first call."""
    folder = state_dir / _PENDING
    file = folder / f"{hashlib.sha256(purpose.encode()).hexdigest()[:16]}.pem"
    if file.is_file():
        return file.read_bytes()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    part = file.with_suffix(".part")
    write_private(part, _new_key())
    give_to_owner(state_dir, [folder, part])
    part.rename(file)
    fsync_folder(folder)
    return file.read_bytes()


def _crypto() -> Any:
    try:
        from cryptography import x509
    except ImportError as error:
        raise UnsupportedError(
            "enrolment needs the cryptography library: pip install 'edgedyno[enroll]'", code="enroll.library"
        ) from error
    return x509


def _new_key() -> bytes:
    _crypto()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    # What OpenSSL and mosquitto have taken for ten years; Ed25519 is still refused by some TLS libraries.
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _request(key: bytes, board: str) -> str:
    x509 = _crypto()
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, board)])
    private = serialization.load_pem_private_key(key, password=None)
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    text: bytes = request.public_bytes(serialization.Encoding.PEM)
    return text.decode()


def _check_certificate(key: bytes, answer: Enrolment) -> None:
    """Raise ConfigError for a certificate of another key, before it replaces anything."""
    x509 = _crypto()
    from cryptography.hazmat.primitives import serialization

    try:
        certificate = x509.load_pem_x509_certificate(answer.certificate.encode())
        x509.load_pem_x509_certificates(answer.ca.encode())
    except ValueError as error:
        raise ConfigError(f"the controller answered no certificate: {error}", code="enroll.answer") from error
    if certificate.public_key() != serialization.load_pem_private_key(key, password=None).public_key():
        raise ConfigError("the controller answered the certificate of another key", code="enroll.answer")


def _first_contact(invitation: Invitation) -> bytes:
    """Return the CA that the token names, as the controller shows it; nothing is told to anyone before.

    Raises ConfigError for a controller with another CA.
    """
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    answer = _exchange(invitation.url, "GET", "/ca", None, unchecked)
    for text in _certificates(answer.decode("utf-8", "replace")):
        der = ssl.PEM_cert_to_DER_cert(text)
        if hashlib.sha256(der).hexdigest() == invitation.ca_sha256:
            return text.encode()
    raise ConfigError(
        f"the controller at {invitation.url} has another CA than the one that made this token: it is not that "
        "controller, or the token was altered, or the CA was made anew; nothing was sent to it",
        code="enroll.fingerprint",
    )


def _certificates(text: str) -> list[str]:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    parts = [part.partition(end)[0] for part in text.split(begin)[1:]]
    return [f"{begin}{part}{end}\n" for part in parts]


def _context_of(roots: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=roots.decode())


def _ask(url: str, path: str, message: msgspec.Struct, context: ssl.SSLContext) -> Enrolment:
    answer = _exchange(url, "POST", path, msgspec.json.encode(message), context)
    try:
        return msgspec.json.decode(answer, type=Enrolment)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"the controller's answer cannot be read: {error}", code="enroll.answer") from error


def _exchange(url: str, method: str, path: str, body: bytes | None, context: ssl.SSLContext) -> bytes:
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port or 443, timeout=TIMEOUT_SECONDS, context=context
    )
    headers = {"Content-Type": "application/json"} if body is not None else {}
    with contextlib.closing(connection):
        try:
            connection.request(method, f"/api/v1{path}", body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES)
        except ssl.SSLCertVerificationError as error:
            raise ConfigError(
                f"the controller at {url} did not prove who it is: {error.verify_message}", code="enroll.tls"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            text = str(error) or type(error).__name__
            raise RetryableError(
                f"controller {url}: out of reach: {text}", code="enroll.unreachable"
            ) from error
    if response.status >= http.HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(answer, response.status, url)
    return answer


def _refusal(answer: bytes, status: int, url: str) -> EdgedynoError:
    try:
        found = msgspec.json.decode(answer)["error"]
        code, text = str(found["code"]), str(found["text"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        code, text = "enroll.answer", f"the controller at {url} answered {status}"
    busy = status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or status == http.HTTPStatus.TOO_MANY_REQUESTS
    return RetryableError(text, code=code) if busy else ConfigError(text, code=code)
