"""One light MQTT 5 connection on an asyncio loop: QoS 0 and 1, a last will, no queue. It reconnects by itself."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

from edgedyno.agent.link import BACKOFF_FIRST_SECONDS, BACKOFF_LAST_SECONDS, KEEPALIVE_SECONDS
from tests.simulated import packets

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_SECONDS = 10.0


class Client(asyncio.Protocol):
    """A connection that comes back with the agent's own back-off."""

    def __init__(
        self,
        port: int,
        client_id: str,
        *,
        will: Callable[[], tuple[str, bytes]],
        topics: list[str],
        ready: Callable[[], None],
        received: Callable[[str, bytes, bool], None],
    ) -> None:
        self._port = port
        self._client_id = client_id
        self._will = will
        self._topics = topics
        self._ready = ready
        self._received = received
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = asyncio.Event()
        self._identifier = 0
        self._unanswered_pings = 0
        self.connected = False
        self.connects = 0

    async def run(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        try:
            while True:
                accepted = await self._connect_once()
                failures = 0 if accepted else failures + 1
                ceiling = min(BACKOFF_LAST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 10))
                await asyncio.sleep(random.uniform(0, ceiling))
        finally:
            self._close(packets.FAREWELL if self.connected else b"")

    async def _connect_once(self) -> bool:
        """Connect and stay until the connection ends; tell whether the broker had accepted it."""
        self._ended.clear()
        before = self.connects
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(
                loop.create_connection(lambda: self, "127.0.0.1", self._port), CONNECT_SECONDS
            )
            while not self._ended.is_set():
                with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), KEEPALIVE_SECONDS)
                    continue
                self._keep_alive()
        return self.connects > before

    def _keep_alive(self) -> None:
        self._unanswered_pings += 1
        if self._unanswered_pings > 2 or self._transport is None:
            self._close(b"")
        else:
            self._transport.write(packets.PING)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Send a message, or nothing without a connection."""
        if not self.connected or self._transport is None:
            return False
        identifier = self._next_identifier() if qos else 0
        self._transport.write(packets.publish(topic, payload, identifier=identifier, retain=retain))
        return True

    def _next_identifier(self) -> int:
        self._identifier = self._identifier % 65535 + 1
        return self._identifier

    def _close(self, farewell: bytes) -> None:
        if self._transport is not None:
            if farewell:
                self._transport.write(farewell)
                self._transport.close()
            else:
                self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who this is."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer.clear()
        self._unanswered_pings = 0
        topic, will = self._will()
        transport.write(
            packets.connect(self._client_id, will_topic=topic, will=will, keepalive_seconds=KEEPALIVE_SECONDS)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._transport, self.connected = None, False
        self._ended.set()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._buffer += data
        for packet in packets.take(self._buffer):
            self._take(packet)

    def _take(self, packet: packets.Packet) -> None:
        if packet.kind == packets.PUBLISH:
            came = packets.read_publication(packet)
            if came.level and self._transport is not None:
                self._transport.write(packets.acknowledge(came.identifier))
            self._received(came.topic, came.payload, came.retained)
        elif packet.kind == packets.CONNACK:
            self._accepted(packet.body[1])
        elif packet.kind == packets.PINGRESP:
            self._unanswered_pings = 0
        elif packet.kind == packets.DISCONNECT:
            self._close(b"")

    def _accepted(self, reason: int) -> None:
        if reason or self._transport is None:
            self._close(b"")
            return
        self.connected = True
        self.connects += 1
        self._transport.write(packets.subscribe(self._next_identifier(), self._topics))
        self._ready()
