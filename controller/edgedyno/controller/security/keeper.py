"""Keeps keys, certificates, lists of revoked ones and the broker's files in order while the service runs."""

from __future__ import annotations

import asyncio
import logging
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from edgedyno.controller.security.authority import DAY_SECONDS, Authority, read_certificate
from edgedyno.controller.security.broker_door import BrokerDoor
from edgedyno.controller.security.broker_files import renew_server, tell_broker, write_trust
from edgedyno.controller.security.broker_rights import KEEPER, user_of
from edgedyno.controller.security.certificates import Revoked, common_name
from edgedyno.controller.security.enrolment import Registrar
from edgedyno.controller.security.files import PUBLIC, write_file
from edgedyno.controller.security.tls import client_context, refresh, server_context
from edgedyno.controller.store import certificates as store
from edgedyno.controller.wakeup import wait_for_wakeup
from edgedyno.core.broker import TLS_PORT
from edgedyno.core.errors import EdgedynoError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sqlalchemy import Connection

    from edgedyno.controller.config import ControllerConfig
    from edgedyno.controller.security.connection import Connections
    from edgedyno.controller.store.certificates import Certificate
    from edgedyno.controller.store.database import Database

log = logging.getLogger(__name__)
# Another replica, or a command on this machine, may have let a board in or thrown one out.
EVERY_SECONDS = 10.0
MANY_COLONS = 2  # an IPv6 address
# Of the certificate by which a revoked board's connection is ended.
TAKE_OVER_SECONDS = 60.0


class CertificateEnd(Struct, frozen=True):
    """When a certificate ends."""

    kind: str
    """ca, server, controller, broker or board."""
    name: str
    ends_at_unix: float


class Keeper:
    """The controller's identities; one for a service that uses TLS anywhere."""

    def __init__(
        self, config: ControllerConfig, database: Database, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._config = config
        self._database = database
        self._clock = clock
        self.folder = config.security_folder
        self.authority = Authority.ensure(self.folder / "ca", clock=clock)
        self.registrar = Registrar(self.authority, lifetime_seconds=config.certificate_lifetime, clock=clock)
        self._names: list[str] = []
        self._server: ssl.SSLContext | None = None
        self._broker: ssl.SSLContext | None = None
        self._connections: Connections | None = None
        self._wake = asyncio.Event()
        self._seen: set[str] | None = None
        """Serials of revoked certificates as of the last list."""
        self._root = ""
        """The fingerprint of the root that signed as of then."""
        self._listed_at = float("-inf")
        self._to_end: set[str] = set()
        """Boards whose connection to the broker has still to be ended."""
        self._applying = asyncio.Lock()
        self._told: frozenset[str] | None = None
        """Boards that the broker's plugin knows."""

    def prepare(self, names: list[str]) -> None:
        """Make what is missing and the contexts. `names` are those that the HTTPS API is reached by."""
        self._names = names
        self._keep_own(self._database.read_now(self._certificates))
        if self._config.tls:
            self._server = server_context(**self._server_files)
        if self._config.broker_tls:
            self._broker = client_context(ca_file=self.folder / "ca.pem", identity=self.folder / "controller")

    @property
    def server_context(self) -> ssl.SSLContext | None:
        """The HTTPS server's context, where it has one."""
        return self._server

    @property
    def broker_context(self) -> ssl.SSLContext | None:
        """The context of the connection to the broker, where it has one."""
        return self._broker

    def watch(self, connections: Connections) -> None:
        """Know the HTTPS connections, to end those of revoked certificates."""
        self._connections = connections

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def broker_came(self) -> None:
        """Look now, and at all that the broker knows: it may have lost it."""
        self._told = None
        self._wake.set()

    def boards_broker(self, url: str) -> tuple[str, int]:
        """Return where boards find the broker; without a word about it, on the host of the HTTP API."""
        text = self._config.boards_broker or urlsplit(url).hostname or "localhost"
        parts = urlsplit(f"//{text}" if text.count(":") < MANY_COLONS or "[" in text else f"//[{text}]")
        return parts.hostname or text, parts.port or TLS_PORT

    async def run(self) -> None:
        """Apply what the database says, for as long as the service runs."""
        while True:
            self._wake.clear()
            try:
                await self.apply()
            except EdgedynoError as error:
                log.warning("certificates: %s", error)
            except OSError:
                log.exception("certificates: a file could not be written")
            await wait_for_wakeup(self._wake, EVERY_SECONDS)

    async def apply(self) -> None:
        """Bring files, contexts, connections and the broker to what the database says. Raises EdgedynoError."""
        async with self._applying:
            found = await self._database.read(self._certificates)
            await asyncio.to_thread(self._keep_own, found)
            if self._connections is not None:
                gone = {int(one.serial, 16) for one in found if one.revoked_at_unix is not None}
                self._connections.close_where(lambda peer: peer.serial in gone)
            await asyncio.to_thread(self._keep_broker, found)

    def ends(self, connection: Connection) -> list[CertificateEnd]:
        """Return when each certificate ends; a board's newest counts."""
        by_board = {
            one.board: one.expires_at_unix
            for one in self._certificates(connection)
            if one.revoked_at_unix is None
        }
        found = [
            CertificateEnd("ca", common_name(one), one.not_valid_after_utc.timestamp())
            for one in self.authority.trusted
        ]
        files = [("server", self.folder / "server"), ("controller", self.folder / "controller")]
        if self._config.broker_dir:
            files.append(("broker", Path(self._config.broker_dir) / "server"))
        for kind, folder in files:
            one = read_certificate(folder / "cert.pem")
            if one is not None:
                found.append(CertificateEnd(kind, common_name(one), one.not_valid_after_utc.timestamp()))
        return found + [CertificateEnd("board", board, end) for board, end in sorted(by_board.items())]

    def seconds_left(self, connection: Connection) -> dict[tuple[str, str], float]:
        """Return how long each certificate counts still, by kind and name."""
        now = self._clock()
        return {(one.kind, one.name): one.ends_at_unix - now for one in self.ends(connection)}

    @property
    def _server_files(self) -> dict[str, Path]:
        return {
            "ca_file": self.folder / "ca.pem",
            "list_file": self.folder / "crl.pem",
            "identity": self.folder / "server",
        }

    def _certificates(self, connection: Connection) -> list[Certificate]:
        return store.unended(connection, now_unix=self._clock())

    def _keep_own(self, found: list[Certificate]) -> None:
        """Keep the controller's own certificates, the roots and the list of revoked ones."""
        self.authority.reload()
        replaced = self.authority.fingerprint != self._root
        revoked = {one.serial for one in found if one.revoked_at_unix is not None}
        stale = self._clock() - self._listed_at >= DAY_SECONDS
        listed = replaced or stale or revoked != self._seen
        if listed:
            write_trust(self.folder, self.authority, self._list(found))
            self._mark_ended(found, revoked)
            self._seen, self._listed_at = revoked, self._clock()
            self._root = self.authority.fingerprint
        renewed = self._config.tls and self.authority.server(self.folder / "server", self._names)
        if self._server is not None and (listed or renewed):
            refresh(self._server, **self._server_files)
        if self._config.broker_tls:
            self._keep_client(replaced=replaced)

    def _keep_client(self, *, replaced: bool) -> None:
        """Keep the certificate that the controller shows the broker."""
        folder = self.folder / "controller"
        renewed = self.authority.identity(folder, user_of(self._config.controller_name))
        if self._broker is not None and (renewed or replaced):
            self._broker.load_cert_chain(folder / "cert.pem", folder / "key.pem")
            self._broker.load_verify_locations(cafile=str(self.folder / "ca.pem"))

    def _list(self, found: list[Certificate]) -> bytes:
        return self.authority.revocations(
            Revoked(int(one.serial, 16), one.revoked_at_unix)
            for one in found
            if one.revoked_at_unix is not None
        )

    def _mark_ended(self, found: list[Certificate], revoked: set[str]) -> None:
        """Note boards whose connection may still be open though none of their certificates counts."""
        valid = {one.board for one in found if one.serial not in revoked}
        new = revoked - (self._seen or set())
        self._to_end |= {one.board for one in found if one.serial in new}
        self._to_end -= valid

    def _keep_broker(self, found: list[Certificate]) -> None:
        """Keep the broker's files, its plugin and its connections. Raises EdgedynoError."""
        if self._config.broker_dir is not None:
            self._keep_broker_files(Path(self._config.broker_dir))
        if self._broker is None:
            return
        door = BrokerDoor(self._config.broker_host, self._config.broker_port)
        # While it has rights still: else its last will would reach nobody.
        for board in sorted(self._to_end):
            door.end_connection(self._broker_identity(board))
            self._to_end.discard(board)
            log.info("the connection of board %r is ended", board)
        boards = frozenset(one.board for one in found if one.revoked_at_unix is None)
        if self._config.broker_dynsec and boards != self._told:
            changed = door.set_boards(self._broker_identity(KEEPER), boards)
            log.info("the broker's rights are changed for %d boards", len(changed))
            self._told = boards

    def _keep_broker_files(self, folder: Path) -> None:
        changed = renew_server(folder, self.authority)
        for name in ("ca.pem", "crl.pem"):
            data = (self.folder / name).read_bytes()
            if not (folder / name).is_file() or (folder / name).read_bytes() != data:
                write_file(folder / name, data, mode=PUBLIC)
                changed = True
        if changed and self._config.broker_pid_file is not None:
            told = tell_broker(Path(self._config.broker_pid_file))
            log.info(
                "the broker's files have changed%s", "; it was told" if told else ", but it was not found"
            )

    def _broker_identity(self, name: str) -> ssl.SSLContext:
        """Return a context with a certificate that is made for one short connection."""
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            self.authority.identity(Path(made), name, seconds=TAKE_OVER_SECONDS)
            return client_context(ca_file=self.folder / "ca.pem", identity=Path(made))


def api_names(config: ControllerConfig, url: str) -> list[str]:
    """Return the host names and addresses that the HTTPS API is reached by, the most public one first."""
    host = urlsplit(url).hostname or "localhost"
    names = [host, *config.server_names, socket.getfqdn(), socket.gethostname(), "localhost", "127.0.0.1"]
    return list(dict.fromkeys(name for name in names if name and "%" not in name))
