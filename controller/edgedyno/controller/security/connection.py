"""Who is at the other end of an HTTPS connection, by its client certificate. Decides no rights.

Uvicorn tells applications nothing of the peer's certificate; `PeerProtocol` puts it into the scope's extensions.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from msgspec import Struct

from edgedyno.controller.security.deadlines import GuardedProtocol
from edgedyno.core.errors import ConfigError
from edgedyno.core.topics import check_board_id

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

EXTENSION = "edgedyno.peer"


class Peer(Struct, frozen=True):
    """A client certificate that TLS has checked against the CA and its revocation list."""

    name: str
    """The subject's common name."""
    serial: int


def peer_of_connection(scope: Scope | Mapping[str, Any]) -> Peer | None:
    """Return the client certificate of a request's connection, None for a connection without one."""
    peer = (scope.get("extensions") or {}).get(EXTENSION)
    return peer if isinstance(peer, Peer) else None


def board_of_connection(scope: Scope | Mapping[str, Any]) -> str | None:
    """Return the board whose certificate a request's connection showed; None for any other client.

    The controller's own certificates have names that no board can have.
    """
    peer = peer_of_connection(scope)
    if peer is None:
        return None
    with contextlib.suppress(ConfigError):
        return check_board_id(peer.name)
    return None


class Connections:
    """The open HTTPS connections, so that those of a revoked certificate can be ended."""

    def __init__(self) -> None:
        self._open: WeakSet[PeerProtocol] = WeakSet()

    def add(self, connection: PeerProtocol) -> None:
        """Remember a connection for as long as it lives."""
        self._open.add(connection)

    def close_where(self, unwanted: Callable[[Peer], bool]) -> int:
        """End the connections whose peer is unwanted and return how many there were."""
        found = [one for one in self._open if one.peer is not None and unwanted(one.peer)]
        for one in found:
            one.transport.abort()
        return len(found)


class PeerProtocol(GuardedProtocol):
    """Uvicorn's HTTP protocol that lets the application see the client's certificate."""

    peer: Peer | None = None
    connections_by_peer: Connections | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Read the certificate that the handshake has checked."""
        super().connection_made(transport)
        self.peer = _peer_of(transport.get_extra_info("ssl_object"))
        if self.peer is not None:
            self.app = _with_peer(self.app, self.peer)
            if self.connections_by_peer is not None:
                self.connections_by_peer.add(self)


def protocol_over(connections: Connections) -> type[PeerProtocol]:
    """Return the protocol class for one server, which is all that uvicorn can be given."""
    return type("PeerProtocol", (PeerProtocol,), {"connections_by_peer": connections})


def _peer_of(tls: ssl.SSLObject | None) -> Peer | None:
    # An empty dictionary is what an unverified certificate reads as.
    certificate: Mapping[str, Any] = (tls.getpeercert() if tls is not None else None) or {}
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    if len(names) != 1:
        return None
    return Peer(name=names[0], serial=int(certificate["serialNumber"], 16))


def _with_peer(app: ASGIApp, peer: Peer) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**(scope.get("extensions") or {}), EXTENSION: peer}
        await app({**scope, "extensions": extensions}, receive, send)

    return serve
