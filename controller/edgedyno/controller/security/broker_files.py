"""The folder of a broker's files: made by `controller broker-config`, kept up to date by the running controller."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
from typing import TYPE_CHECKING

from edgedyno.controller.security.authority import read_certificate
from edgedyno.controller.security.broker_rights import BrokerFiles, acl_text, dynsec_json, mosquitto_conf
from edgedyno.controller.security.certificates import server_names
from edgedyno.controller.security.files import PRIVATE, PUBLIC, write_changed, write_file
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edgedyno.controller.security.authority import Authority

_GROUP_READS = 0o640


def write_broker_folder(
    folder: Path,
    authority: Authority,
    files: BrokerFiles,
    *,
    names: Sequence[str],
    revocations: bytes,
    boards: Iterable[str],
) -> None:
    """Write everything that mosquitto needs. Raises ConfigError.

    A dynamic security file that is there stays: the plugin has written it since.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out: {folder}: {error.strerror}", code="broker.folder") from error
    write_trust(folder, authority, revocations)
    authority.server(folder / "server", names, mode=_key_mode(folder))
    write_changed(folder / "mosquitto.conf", mosquitto_conf(files).encode(), mode=PUBLIC)
    if files.plugin is None:
        write_changed(folder / "acl", acl_text(files.controllers).encode(), mode=_key_mode(folder))
    elif not (folder / "dynsec.json").is_file():
        write_file(
            folder / "dynsec.json", dynsec_json(boards, files.controllers).encode(), mode=_key_mode(folder)
        )
    if files.user is not None and os.geteuid() == 0:
        _give(folder, files.user)


def write_trust(folder: Path, authority: Authority, revocations: bytes) -> None:
    """Write the roots and the list of revoked certificates."""
    write_changed(folder / "ca.pem", authority.bundle(), mode=PUBLIC)
    write_changed(folder / "crl.pem", revocations, mode=PUBLIC)


def renew_server(folder: Path, authority: Authority) -> bool:
    """Make the broker's certificate anew where it is time, for the names that it has; return whether it was."""
    found = read_certificate(folder / "server" / "cert.pem")
    if found is None:
        return False
    return authority.server(folder / "server", sorted(server_names(found)), mode=_key_mode(folder))


def tell_broker(pid_file: Path) -> bool:
    """Have the broker read its files again; return whether there was one to tell."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text(encoding="ascii")), signal.SIGHUP)
        return True
    return False


def _key_mode(folder: Path) -> int:
    """Return the rights of secrets: a folder that passes its group on has mosquitto's."""
    return _GROUP_READS if folder.stat().st_mode & stat.S_ISGID else PRIVATE


def _give(folder: Path, user: str) -> None:
    """Give the files to whom mosquitto becomes when root starts it."""
    try:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)
    except LookupError as error:
        raise ConfigError(
            f"--user: found no user {user!r} on this machine; leave it out where mosquitto runs elsewhere",
            code="broker.user",
        ) from error
