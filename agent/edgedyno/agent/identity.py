"""The board's identity: who it is, its key and certificate, whom it trusts. Reads the folder; makes no key.

`identity` in the state folder is a symbolic link to the folder of the present certificate, so that key,
certificate and what belongs to them change in one step.
"""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.files import fsync_folder
from edgedyno.core.broker import Broker, Tls
from edgedyno.core.enrolment import Identity
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

    from edgedyno.agent.config import AgentConfig

log = logging.getLogger(__name__)

LINK = "identity"
KEY, CERTIFICATE, ROOTS, FACTS, TRUSTED = (
    "key.pem",
    "cert.pem",
    "ca.pem",
    "identity.json",
    "trusted_keys.json",
)
RENEW_AT_SHARE = 2 / 3


def identity_folder(state_dir: Path) -> Path:
    """Return where the present identity is; it need not be there."""
    return state_dir / LINK


def read_identity(state_dir: Path) -> Identity | None:
    """Return the identity, None for a board that was not enrolled. Raises ConfigError for a damaged one."""
    file = identity_folder(state_dir) / FACTS
    try:
        return msgspec.json.decode(file.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{file}: cannot be read: {error}; `edgedyno agent enroll TOKEN` makes a new identity",
            code="identity.damaged",
        ) from error


def tls_of(state_dir: Path) -> Tls:
    """Return the files for TLS; they are read anew at every connection, so that a renewal needs no restart."""
    folder = identity_folder(state_dir)
    return Tls(ca_file=str(folder / ROOTS), cert_file=str(folder / CERTIFICATE), key_file=str(folder / KEY))


def identity_tls(state_dir: Path) -> Tls | None:
    """Return the files for TLS of an enrolled board, None for another."""
    return tls_of(state_dir) if read_identity(state_dir) is not None else None


def with_identity(config: AgentConfig, state_dir: Path) -> AgentConfig:
    """Lay the identity under the configuration: what was configured for the broker by name stays.

    Raises ConfigError where the configuration names another board than the certificate does.
    """
    identity = read_identity(state_dir)
    if identity is None:
        return config
    if config.board not in (None, identity.board):
        raise ConfigError(
            f"board: found {config.board!r}, expected {identity.board!r}, as this board is enrolled; enrol it "
            "under the other id, or leave `board` out",
            code="identity.board",
        )
    broker = config.broker
    if broker == Broker():
        broker = Broker(host=identity.broker_host, port=identity.broker_port)
    if broker.tls is None:
        broker = msgspec.structs.replace(
            broker, port=broker.port or identity.broker_port, tls=tls_of(state_dir)
        )
    log.info("this board is enrolled as %r; its broker is %s", identity.board, broker.host)
    # Meters outside the board keep the broker that was configured: a board's certificate opens none of them.
    power = [
        msgspec.structs.replace(meter, broker=meter.broker or config.broker) if meter.topic else meter
        for meter in config.power
    ]
    return msgspec.structs.replace(config, board=identity.board, broker=broker, power=power)


def https_context(tls: Tls | None) -> ssl.SSLContext:
    """Return the context for the controller's HTTP API. Raises ConfigError."""
    import ssl

    try:
        context = ssl.create_default_context(cafile=tls.ca_file if tls else None)
        if tls is not None and tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{tls.cert_file if tls else 'TLS'}: {error}", code="identity.tls") from error
    return context


def write_identity(state_dir: Path, files: Mapping[str, bytes], *, name: str) -> None:
    """Make `files` the identity, all or none of them, even when the power fails meanwhile."""
    folder = state_dir / f"{LINK}-{name}"
    if not folder.is_dir():
        part = state_dir / f"{LINK}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        for file, data in files.items():
            write_private(part / file, data)
        fsync_folder(part)
        give_to_owner(state_dir, [part, *part.iterdir()])
        part.rename(folder)
    _point_to(state_dir, folder)
    for older in state_dir.glob(f"{LINK}-*"):
        if older != folder:
            shutil.rmtree(older, ignore_errors=True)


def _point_to(state_dir: Path, folder: Path) -> None:
    link, part = identity_folder(state_dir), state_dir / f"{LINK}.link"
    part.unlink(missing_ok=True)
    part.symlink_to(folder.name)
    give_to_owner(state_dir, [part])
    part.replace(link)
    fsync_folder(state_dir)


def write_private(file: Path, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as target:
        target.write(data)
        target.flush()
        os.fsync(target.fileno())


def give_to_owner(state_dir: Path, paths: list[Path]) -> None:
    """Give what root has made to whom the folder belongs: the agent itself is not root."""
    owner = state_dir.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def renewal_at_unix(identity: Identity) -> float:
    """Return when two thirds of the certificate's life are over."""
    return identity.issued_at_unix + (identity.expires_at_unix - identity.issued_at_unix) * RENEW_AT_SHARE
