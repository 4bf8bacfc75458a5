"""The HTTP server: a socket of the controller's own, and uvicorn on it, with TLS where there is a context for it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from typing import TYPE_CHECKING

import uvicorn

from edgedyno.controller.security.connection import Connections, protocol_over
from edgedyno.controller.security.deadlines import HEADER_BYTES
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from starlette.applications import Starlette

GRACE_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises ConfigError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"listen_host: {host!r}: {error.strerror}", code="config.listen") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"listen_host, listen_port: {host}:{port}: {error.strerror}", code="config.listen"
        ) from error
    return listener


def url_of(listener: socket.socket, *, scheme: str = "http") -> str:
    """Return the URL of what listens; an address that stands for all becomes this machine's name."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:  # compared, not bound
        host = socket.getfqdn()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Tell whether only this machine reaches what listens."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


class HttpServer:
    """One application on one socket."""

    def __init__(
        self, listener: socket.socket, *, max_connections: int = 2000, context: ssl.SSLContext | None = None
    ) -> None:
        self._listener = listener
        self._max_connections = max_connections
        self._context = context
        self.connections = Connections()
        """The open connections that showed a client certificate."""
        self._server: _Uvicorn | None = None
        self._ended = asyncio.Event()

    async def run(self, app: Starlette) -> None:
        """Serve until stopped."""
        config = _Config(
            app,
            http=protocol_over(self.connections),
            ws="none",
            limit_concurrency=self._max_connections,
            h11_max_incomplete_event_size=HEADER_BYTES,
            # Nobody's word about another address is taken: rates are counted by the address that connects.
            proxy_headers=False,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        config.context = self._context
        self._server = _Uvicorn(config)
        try:
            await self._server.serve([self._listener])
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """End what is being answered, within a grace, and then the server."""
        if self._server is not None:
            self._server.should_exit = True
            await self._ended.wait()


class _Config(uvicorn.Config):
    """Uvicorn's settings with a TLS context that is made, and kept up to date, elsewhere."""

    context: ssl.SSLContext | None = None

    def load(self) -> None:
        super().load()
        self.ssl = self.context


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: signals are the service's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
