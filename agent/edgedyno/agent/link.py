"""The MQTT connection of one board: will, subscriptions, reconnecting. Messages mean nothing here."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from typing import TYPE_CHECKING, Any

from edgedyno.agent.events import AnyWake, Connected, Disconnected, Received
from edgedyno.agent.mqtt import CONNECT_SECONDS, NEWEST_VERSION, new_client, other_version, read_password
from edgedyno.core import topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client

    from edgedyno.core.broker import Broker

log = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 30
# One wake-up in this time when nothing happens; it bounds how late a ping is (1.5 keepalives are allowed).
LOOP_SECONDS = 10.0
# Full jitter: a random wait up to a ceiling that doubles, so that a fleet does not come back all at once.
# https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
# The first ceiling spreads a fleet whose broker was away for a moment: a thousand boards come back at 250 a second.
# The last keeps the time short in which a fleet whose broker was away for long is back.
BACKOFF_FIRST_SECONDS, BACKOFF_LAST_SECONDS = 4.0, 30.0
# Another agent with this board's id throws this one out whenever it connects; no need to fight quickly.
TAKEN_OVER_SECONDS = 60.0


class Link:
    """A connection that comes back by itself; `deliver` is called in the link's own thread."""

    def __init__(
        self, broker: Broker, *, board: str, will: bytes, deliver: Callable[[AnyWake], None]
    ) -> None:
        self._broker = broker
        self._board = board
        self.will = will
        """What the broker publishes on `state` when this agent vanishes; read at every connect."""
        self._deliver = deliver
        read_password(broker)
        self._client: Client | None = None
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._version = NEWEST_VERSION
        self._refusal = ""
        self._was_connected = False
        self._taken_over = False

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the present connection."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begin to connect, and to connect again for ever."""
        self._thread.start()

    def publish(self, leaf: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> bool:
        """Hand a message to the connection; False when there is none. Nothing is kept for a later one."""
        client = self._client
        if client is None or not self.connected:
            return False
        info = client.publish(topics.of_board(self._board, leaf), payload, qos=qos, retain=retain)
        return int(info.rc) == 0

    def reconnect(self) -> None:
        """Drop the present connection and make a new one, with the present will."""
        if self._client is not None:
            self._client.disconnect()

    def stop(self, farewell: bytes, *, seconds: float = 2.0) -> None:
        """Publish `farewell` as the retained state and disconnect without the will, in about `seconds`."""
        self._stopping.set()
        client = self._client
        if client is not None and self.connected:
            with contextlib.suppress(ValueError, RuntimeError):
                info = client.publish(topics.of_board(self._board, "state"), farewell, qos=1, retain=True)
                info.wait_for_publish(seconds)
            client.disconnect()
        if self._thread.is_alive():
            self._thread.join(seconds + CONNECT_SECONDS)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._connected.clear()
            reason = self._connect_once()
            if self._stopping.is_set():
                return
            failures = 0 if self._was_connected else failures + 1
            self._deliver(Disconnected(reason))
            self._wait(failures)

    def _wait(self, failures: int) -> None:
        ceiling = min(BACKOFF_LAST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 10))
        if self._taken_over:
            log.error("another agent connected as board %r: is its id used twice?", self._board)
            ceiling = TAKEN_OVER_SECONDS
        self._stopping.wait(random.uniform(0, ceiling))  # noqa: S311 jitter is no secret

    def _connect_once(self) -> str:
        """Connect and serve until the connection ends; return why it ended."""
        self._was_connected, self._taken_over, self._refusal = False, False, ""
        try:
            # A client for each connection: nothing of an old one lives on, and nothing precious is in it.
            client = self._new_client()
            client.connect(self._broker.host, self._broker.port_or_default, keepalive=KEEPALIVE_SECONDS)
            self._client = client
            while int(result := client.loop(LOOP_SECONDS)) == 0:
                pass
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        except Exception as error:
            log.exception("the connection failed")
            return f"{type(error).__name__}: {error}"
        finally:
            self._client = None
            self._connected.clear()
        if not self._was_connected:
            self._version = other_version(self._version)
        return self._refusal or f"the connection was closed: {result!s}"

    def _new_client(self) -> Client:
        client = new_client(self._broker, client_id=f"edgedyno-{self._board}", version=self._version)
        client.will_set(topics.of_board(self._board, "state"), self.will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._refusal = f"the broker refused: {reason}"
            return
        self._was_connected = True
        leaves = ("desired", "rsp/+", "ack", "state")
        names = [topics.CONTROLLER_STATE, *(topics.of_board(self._board, leaf) for leaf in leaves)]
        client.subscribe([(name, 1) for name in names])

    def _on_subscribe(self, _client: Client, _data: Any, _id: int, reasons: Any, _properties: Any) -> None:
        # Only now: a birth that overtook its subscription would hide what the broker retains of an older session
        # (rumqttd reads its retained messages when it has answered).
        for reason in reasons:
            if reason.is_failure:
                log.error("the broker refused a subscription: %s", reason)
        self._connected.set()
        self._deliver(Connected())

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        self._deliver(Received(topic=message.topic, payload=message.payload, retained=message.retain))

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._connected.clear()
        self._taken_over = str(reason) == "Session taken over"
        self._refusal = self._refusal or f"disconnected: {reason}"
