"""The controller's own small CA in a folder: made at first need, replaced without a break. Knows no database."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

from cryptography import x509

from edgedyno.controller.security.certificates import (
    BACKDATED,
    Key,
    Revoked,
    Root,
    Usage,
    common_name,
    cross_sign,
    fingerprint,
    key_pem,
    make_root,
    new_key,
    pem,
    read_key,
    revocation_list,
    server_names,
    sign,
)
from edgedyno.controller.security.files import PRIVATE, PUBLIC, locked, write_file
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

DAY_SECONDS = 86_400.0
ROOT_SECONDS = 3650 * DAY_SECONDS
SERVER_SECONDS = 365 * DAY_SECONDS
# A broker refuses everyone once its list is too old. The controller writes a new one every day; a year is for
# the broker that has to go on without one.
LIST_SECONDS = 365 * DAY_SECONDS
RENEW_AT_SHARE = 2 / 3


class Authority:
    """The CA whose keys are in `folder`; the newest root signs, older ones are still trusted."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._listed_at_unix = 0.0
        self._roots = _read_roots(folder)
        if not self._roots:
            raise ConfigError(
                f"found no CA in {folder}; `edgedyno controller ca init` makes one", code="ca.missing"
            )

    @classmethod
    def ensure(cls, folder: Path, *, clock: Callable[[], float] = time.time) -> Authority:
        """Open the CA, made now if there is none."""
        with locked(folder):
            if not _read_roots(folder):
                _write_root(folder, 1, make_root(_new_name(), now=_utc(clock()), seconds=ROOT_SECONDS))
        return cls(folder, clock=clock)

    @property
    def current(self) -> Root:
        """The root that signs."""
        return self._roots[-1]

    @property
    def now(self) -> dt.datetime:
        """The wall clock, which is what certificates are checked by."""
        return _utc(self._clock())

    @property
    def unix_now(self) -> float:
        """The wall clock in Unix seconds."""
        return self._clock()

    @property
    def fingerprint(self) -> str:
        """What boards know the CA by at first contact."""
        return fingerprint(self.current.certificate)

    @property
    def trusted(self) -> list[x509.Certificate]:
        """The roots that have not ended, the newest first."""
        found = [one.certificate for one in reversed(self._roots)]
        return [one for one in found if one.not_valid_after_utc > self.now]

    def bundle(self) -> bytes:
        """Return the roots to trust, in PEM."""
        return b"".join(pem(one) for one in self.trusted)

    def chain(self) -> bytes:
        """Return what a server shows after its own certificate, for clients that know an older root only."""
        newest = len(self._roots)
        files = [self._folder / f"cross-{newest}-{older}.pem" for older in range(1, newest)]
        return b"".join(file.read_bytes() for file in files if file.is_file())

    def replace(self) -> None:
        """Make a new root that signs from now on; the older ones stay trusted until they end."""
        with locked(self._folder):
            number = len(_read_roots(self._folder)) + 1
            new = make_root(_new_name(), now=self.now, seconds=ROOT_SECONDS)
            for older, root in enumerate(self._roots, 1):
                crossed = cross_sign(new, by=root, now=self.now)
                write_file(self._folder / f"cross-{number}-{older}.pem", pem(crossed), mode=PUBLIC)
            _write_root(self._folder, number, new)
        self._roots = _read_roots(self._folder)

    def reload(self) -> None:
        """Read the roots again where a command has made one."""
        if (self._folder / f"root-{len(self._roots) + 1}.pem").is_file():
            self._roots = _read_roots(self._folder)

    def certify(
        self,
        key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey,
        name: str,
        *,
        usage: Usage,
        seconds: float,
        names: Sequence[str] = (),
    ) -> x509.Certificate:
        """Sign a certificate that begins now."""
        return sign(self.current, key, name, usage=usage, now=self.now, seconds=seconds, names=names)

    def revocations(self, revoked: Iterable[Revoked]) -> bytes:
        """Return the list of each root; every root's list has all, since serials are random."""
        listed, number = list(revoked), int(self._clock() * 1000)
        # OpenSSL takes the list with the later date, in whole seconds: of two lists within one second it would go on
        # with the first. Lists are dated back by an hour, so that some seconds more are never in the future.
        self._listed_at_unix = max(self._clock(), self._listed_at_unix + 1.0)
        now = _utc(self._listed_at_unix)
        roots = [root for root in self._roots if root.certificate in self.trusted]
        return b"".join(
            revocation_list(root, listed, number=number, now=now, seconds=LIST_SECONDS) for root in roots
        )

    def identity(self, folder: Path, name: str, *, seconds: float = SERVER_SECONDS) -> bool:
        """Keep a client's key and certificate in `folder`; return whether they were made anew."""
        return self._keep(folder, name, usage="client", names=(), seconds=seconds, mode=PRIVATE)

    def server(
        self, folder: Path, names: Sequence[str], *, seconds: float = SERVER_SECONDS, mode: int = PRIVATE
    ) -> bool:
        """Keep a server's key and certificate in `folder`; `mode` is the key's.

        They are made anew for a name that is missing, at two thirds of their life, and after a new root.
        """
        return self._keep(folder, names[0], usage="server", names=names, seconds=seconds, mode=mode)

    def _keep(
        self, folder: Path, name: str, *, usage: Usage, names: Sequence[str], seconds: float, mode: int
    ) -> bool:
        found = read_certificate(folder / "cert.pem")
        named = found is not None and (bool(names) or common_name(found) == name)
        if (
            found is not None
            and named
            and self._is_good(found, set(names))
            and _is_key_of(folder / "key.pem", found)
        ):
            return False
        folder.mkdir(parents=True, exist_ok=True)
        key = new_key()
        certificate = self.certify(key.public_key(), name, usage=usage, seconds=seconds, names=names)
        write_file(folder / "key.pem", key_pem(key), mode=mode)
        write_file(folder / "cert.pem", pem(certificate) + self.chain(), mode=PUBLIC)
        return True

    def _is_good(self, certificate: x509.Certificate, names: set[str]) -> bool:
        return (
            common_name_of_issuer(certificate) == common_name(self.current.certificate)
            and names <= server_names(certificate)
            and self.now < renewal_time(certificate)
        )


def common_name_of_issuer(certificate: x509.Certificate) -> str:
    """Return the name of the root that signed."""
    return certificate.issuer.rfc4514_string().removeprefix("CN=")


def renewal_time(certificate: x509.Certificate) -> dt.datetime:
    """Return when two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc + BACKDATED, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEW_AT_SHARE


def read_certificate(file: Path) -> x509.Certificate | None:
    """Return the first certificate of a PEM file, None where there is none."""
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"{file}: found no certificate: {error}", code="security.certificate") from error


def _is_key_of(file: Path, certificate: x509.Certificate) -> bool:
    """Tell whether a crash has left a new key beside an old certificate, or none."""
    if not file.is_file():
        return False
    return read_key(file.read_bytes(), where=str(file)).public_key() == certificate.public_key()


def _utc(unix_seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(unix_seconds, dt.timezone.utc)


def _new_name() -> str:
    # Two roots must not have one name: who checks a chain looks an issuer up by it.
    return f"edgedyno CA {x509.random_serial_number() % 16**8:08x}"


def _read_roots(folder: Path) -> list[Root]:
    """Return the roots, the oldest first."""
    roots: list[Root] = []
    while (file := folder / f"root-{len(roots) + 1}.pem").is_file():
        certificate = read_certificate(file)
        key_file = folder / f"root-{len(roots) + 1}.key"
        try:
            key: Key = read_key(key_file.read_bytes(), where=str(key_file))
        except OSError as error:
            raise ConfigError(f"{key_file}: {error.strerror}", code="ca.key") from error
        if certificate is not None:
            roots.append(Root(key, certificate))
    return roots


def _write_root(folder: Path, number: int, root: Root) -> None:
    write_file(folder / f"root-{number}.key", key_pem(root.key), mode=PRIVATE)
    # The certificate makes it count: a crash before leaves a key that is written again.
    write_file(folder / f"root-{number}.pem", pem(root.certificate), mode=PUBLIC)
