"""Makes keys, certificates and revocation lists from values. Keeps no file and knows no board."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# OpenSSL 1.0.2 and everything since, mosquitto with it, takes this curve.
Key = ec.EllipticCurvePrivateKey
CURVE = ec.SECP256R1()
# A clock that is a little behind still takes a new certificate.
BACKDATED = dt.timedelta(hours=1)
MAX_REQUEST_BYTES = 8192
Usage = Literal["client", "server"]
_USAGES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


class Root(Struct, frozen=True):
    """A CA: its key and the certificate that is trusted."""

    key: Key
    certificate: x509.Certificate


class Revoked(Struct, frozen=True):
    """A certificate that no longer counts."""

    serial: int
    at_unix_seconds: float


def new_key() -> Key:
    """Make a key."""
    return ec.generate_private_key(CURVE)


def key_pem(key: Key) -> bytes:
    """Write a key as PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(data: bytes, *, where: str) -> Key:
    """Read a key that `key_pem` wrote. Raises ConfigError."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: found no key: {error}", code="security.key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(
            f"{where}: found a key of {type(key).__name__}, expected an elliptic curve's", code="security.key"
        )
    return key


def pem(certificate: x509.Certificate) -> bytes:
    """Write a certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the sha256 over the certificate's DER form, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def key_sha256(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> str:
    """Return what names a public key: the sha256 of its SubjectPublicKeyInfo, in hex."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(encoded)
    return digest.finalize().hex()


def common_name(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """Return the subject's one common name; empty where there is not exactly one."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if len(found) == 1 else ""


def make_root(name: str, *, now: dt.datetime, seconds: float) -> Root:
    """Make a CA that may sign end entities only."""
    key = new_key()
    # One more CA may stand between: a successor whose key this root has certified.
    certificate = _sign_ca(
        name, key.public_key(), issuer=name, signer=key, now=now, seconds=seconds, path_length=1
    )
    return Root(key, certificate)


def cross_sign(new: Root, *, by: Root, now: dt.datetime) -> x509.Certificate:
    """Certify a new CA's key by an old one, so that who trusts the old one trusts what the new one signs."""
    left = (by.certificate.not_valid_after_utc - now).total_seconds()
    return _sign_ca(
        common_name(new.certificate),
        new.certificate.public_key(),  # type: ignore[arg-type]
        issuer=common_name(by.certificate),
        signer=by.key,
        now=now,
        seconds=left,
        path_length=0,
    )


def _sign_ca(
    name: str,
    key: ec.EllipticCurvePublicKey,
    *,
    issuer: str,
    signer: Key,
    now: dt.datetime,
    seconds: float,
    path_length: int,
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(name, key, issuer=issuer, signer=signer, now=now, seconds=seconds)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(usage, critical=True).sign(signer, hashes.SHA256())


def sign(
    root: Root,
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    name: str,
    *,
    usage: Usage,
    now: dt.datetime,
    seconds: float,
    names: Sequence[str] = (),
) -> x509.Certificate:
    """Certify that a key is `name`'s; a server's certificate also holds the names it is reached by."""
    issuer = common_name(root.certificate)
    seconds = min(seconds, (root.certificate.not_valid_after_utc - now).total_seconds())
    builder = _builder(name, key, issuer=issuer, signer=root.key, now=now, seconds=seconds)
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signing_only(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_USAGES[usage]]), critical=False)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_general_name(one) for one in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(root.key, hashes.SHA256())


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _builder(
    name: str,
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
    *,
    issuer: str,
    signer: Key,
    now: dt.datetime,
    seconds: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + dt.timedelta(seconds=seconds))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def server_names(certificate: x509.Certificate) -> set[str]:
    """Return the host names and addresses that a server's certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(one.value) for one in found}


def revocation_list(
    root: Root, revoked: Iterable[Revoked], *, number: int, now: dt.datetime, seconds: float
) -> bytes:
    """Return a CA's list of revoked certificates, in PEM."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(now + dt.timedelta(seconds=seconds))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False
        )
    )
    for one in revoked:
        at = dt.datetime.fromtimestamp(one.at_unix_seconds, dt.timezone.utc)
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(root.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def open_request(text: str) -> x509.CertificateSigningRequest:
    """Read a request for a certificate and check that its sender has the key. Raises ConfigError."""
    if len(text) > MAX_REQUEST_BYTES:
        raise ConfigError(
            f"found a certificate request of {len(text)} bytes, expected at most {MAX_REQUEST_BYTES}",
            code="enroll.request",
        )
    try:
        request = x509.load_pem_x509_csr(text.encode())
        signed = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, UnicodeError) as error:
        raise ConfigError(f"found no certificate request: {error}", code="enroll.request") from error
    if not signed:
        raise ConfigError("the certificate request's signature does not fit its key", code="enroll.request")
    return request


def request_key(
    request: x509.CertificateSigningRequest,
) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    """Return the key of a request. Raises ConfigError for a kind that is not taken."""
    key = request.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in ("secp256r1", "secp384r1")
    ):
        return key
    raise ConfigError(
        f"found a key of {type(key).__name__}, expected one on the curve P-256 or P-384, or Ed25519",
        code="enroll.request",
    )
