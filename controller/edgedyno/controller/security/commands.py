"""What `edgedyno controller ca`, `enroll` and `broker-config` do on the controller's machine, without the service."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from edgedyno.controller.security.authority import Authority
from edgedyno.controller.security.broker_files import write_broker_folder
from edgedyno.controller.security.certificates import Revoked, common_name, fingerprint
from edgedyno.controller.security.enrolment import Registrar
from edgedyno.controller.security.keeper import Keeper
from edgedyno.controller.store import certificates as store
from edgedyno.controller.store.database import Database, check_reachable
from edgedyno.controller.store.migrate import migrate
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedyno.controller.config import ControllerConfig
    from edgedyno.controller.security.broker_rights import BrokerFiles


class ShownEnd(Struct, frozen=True):
    """A certificate and when it ends, in Unix seconds."""

    kind: str
    name: str
    ends_at_unix: float


class ShownAuthority(Struct, frozen=True):
    """A CA as people see it."""

    folder: str
    name: str
    sha256: str
    certificates: list[ShownEnd]


def open_authority(config: ControllerConfig, *, make: bool) -> Authority:
    """Open the CA; with `make`, it is made if there is none. Raises ConfigError."""
    folder = config.security_folder / "ca"
    try:
        return Authority.ensure(folder) if make else Authority(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}", code="ca.folder") from error


def show_authority(config: ControllerConfig, authority: Authority) -> ShownAuthority:
    """Return the CA's name and fingerprint, and when every certificate ends."""
    with _database(config) as database:
        ends = database.read_now(Keeper(config, database).ends)
    root = authority.current.certificate
    return ShownAuthority(
        folder=str(config.security_folder / "ca"),
        name=common_name(root),
        sha256=fingerprint(root),
        certificates=[ShownEnd(one.kind, one.name, one.ends_at_unix) for one in ends],
    )


def invite(config: ControllerConfig, board: str | None, *, expires_seconds: float) -> tuple[str, float]:
    """Make a one-time token; return it and when it ends, in Unix seconds. Raises ConfigError."""
    registrar = Registrar(open_authority(config, make=True), lifetime_seconds=config.certificate_lifetime)
    with _database(config) as database:
        return database.write_now(
            registrar.invite, board, url=public_url(config), expires_seconds=expires_seconds
        )


def write_server(config: ControllerConfig, names: Sequence[str], folder: Path) -> bool:
    """Keep a server's key and certificate for these names in `folder`; return whether they were made anew."""
    return open_authority(config, make=True).server(folder, names)


def write_broker(
    config: ControllerConfig, folder: Path, files: BrokerFiles, *, names: Sequence[str]
) -> list[str]:
    """Write the broker's files; return the names that its certificate is for."""
    authority = open_authority(config, make=True)
    names = list(dict.fromkeys([*names, *_broker_names(config), "localhost", "127.0.0.1"]))
    with _database(config) as database:
        found = database.read_now(lambda connection: store.unended(connection, now_unix=authority.unix_now))
    revoked = [
        Revoked(int(one.serial, 16), one.revoked_at_unix) for one in found if one.revoked_at_unix is not None
    ]
    write_broker_folder(
        folder,
        authority,
        replace(files, folder=files.folder or str(folder.absolute())),
        names=names,
        revocations=authority.revocations(revoked),
        boards={one.board for one in found if one.revoked_at_unix is None},
    )
    return names


def public_url(config: ControllerConfig) -> str:
    """Return the address that boards get of the HTTP API. Raises ConfigError where it cannot be known."""
    if config.public_url is not None:
        return config.public_url
    if config.listen_port == 0:
        raise ConfigError(
            "listen_port: found 0, a port that is free at the start; boards need a lasting one, or `public_url`",
            code="enroll.url",
        )
    host = config.listen_host if config.listen_host not in ("0.0.0.0", "::", "") else socket.getfqdn()  # noqa: S104 compared, not bound
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if config.tls else 'http'}://{host}:{config.listen_port}"


def _broker_names(config: ControllerConfig) -> list[str]:
    """Return how the controller and the boards reach the broker, as far as the configuration tells."""
    told = [config.boards_broker or "", config.public_url or ""]
    hosts = [urlsplit(text if "://" in text else f"//{text}").hostname for text in told]
    return [host for host in (config.broker_host, *hosts, socket.getfqdn()) if host]


@contextlib.contextmanager
def _database(config: ControllerConfig) -> Iterator[Database]:
    Path(config.data_dir).mkdir(parents=True, exist_ok=True)
    database = Database(config.url)
    try:
        check_reachable(database.engine)
        migrate(database.engine)
        yield database
    finally:
        database.close()
