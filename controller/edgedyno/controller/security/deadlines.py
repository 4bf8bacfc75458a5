"""The HTTP protocol with deadlines: slow headers, readers that do not read, too many connections of one address.

uvicorn has a time-out for idle kept connections only. Bodies are watched where they are read, in `api.gate`.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger(__name__)
HEADER_SECONDS = 10.0
DRAIN_SECONDS = 60.0
# What all headers of one request may take together, in bytes; h11 answers 400 and hangs up beyond.
HEADER_BYTES = 32 << 10
PER_ADDRESS = 256


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol on h11; a connection that keeps it waiting is ended."""

    _header_timer: asyncio.TimerHandle | None = None
    _drain_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless its address has too many connections already."""
        super().connection_made(transport)
        if self._crowded():
            log.warning("too many connections of one address", extra={"address": self._address})
            transport.abort()
            return
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all deadlines."""
        self._expect_nothing()
        self._drained()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; headers that have begun are waited for no longer than those of a new connection."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._expect_nothing()
        elif self._header_timer is None and not self.transport.is_closing():
            self._expect_headers()

    def pause_writing(self) -> None:
        """Wait for a slow reader, but not for ever."""
        super().pause_writing()
        if self._drain_timer is None:
            self._drain_timer = self.loop.call_later(DRAIN_SECONDS, self._give_up, "it does not read")

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._drained()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _crowded(self) -> bool:
        """Tell whether the address has its share of connections; all of a reverse proxy's come from loopback."""
        if not self._address or ipaddress.ip_address(self._address.partition("%")[0]).is_loopback:
            return False
        clients = [other.client for other in self.connections if isinstance(other, H11Protocol)]
        return sum(1 for client in clients if client and client[0] == self._address) > PER_ADDRESS

    def _expect_headers(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_SECONDS, self._give_up, "its headers do not end")

    def _expect_nothing(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _drained(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None

    def _give_up(self, reason: str) -> None:
        log.info("connection ended: %s", reason, extra={"address": self._address})
        self.transport.abort()
