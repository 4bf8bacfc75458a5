"""A subscription to a few topics of a broker, kept up by a thread of its own. Knows nothing of payloads."""

from __future__ import annotations

import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any

from edgedyno.agent.mqtt import new_client
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.agent.mqtt import Version
    from edgedyno.core.broker import Broker

RECONNECT_SECONDS = 2.0
LOOP_SECONDS = 10.0  # Within the keep-alive; it wakes for every message, and is woken to publish.
PROTOCOL: Version = 4  # MQTT 3.1.1, which every broker speaks.
_log = logging.getLogger(__name__)


class Subscription:
    """Calls `heard(topic, payload, retained)` on its own thread for every message, until it is closed."""

    def __init__(
        self, broker: Broker, topics: Sequence[str], heard: Callable[[str, bytes, bool], None]
    ) -> None:
        self._broker = broker
        self._topics = list(topics)
        self._heard = heard
        self._client = new_client(broker, client_id=f"edgedyno-{uuid.uuid4().hex[:8]}", version=PROTOCOL)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message
        self._end = threading.Event()
        self.ready = threading.Event()
        """Set once the topics are subscribed."""
        self.problem: str | None = None
        """Why there is no connection now."""
        self._thread = threading.Thread(target=self._run, name="power-plug", daemon=True)
        self._thread.start()

    def publish(self, topic: str, payload: str) -> None:
        """Say something, if there is a connection; nothing is kept for later."""
        if self.ready.is_set():
            self._client.publish(topic, payload, qos=0)

    def close(self) -> None:
        """Disconnect and wait for the thread."""
        self._end.set()
        self._client.disconnect()
        self._thread.join(2 * RECONNECT_SECONDS)

    def _connected(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self.problem = f"the broker refuses: {reason}"
            return
        client.subscribe([(topic, 0) for topic in self._topics])

    def _subscribed(self, *_: Any) -> None:
        self.problem = None
        self.ready.set()

    def _message(self, _client: Any, _data: Any, message: Any) -> None:
        self._heard(message.topic, message.payload, bool(message.retain))

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._client.connect(self._broker.host, self._broker.port_or_default)
                # Not loop_forever: it cannot be woken by what another thread publishes, and waits its second out.
                while int(self._client.loop(LOOP_SECONDS)) == 0 and not self._end.is_set():
                    pass
                self.problem = self.problem or "the connection was lost"
            except (OSError, ValueError) as error:
                self.problem = str(error)
            except Exception as error:  # noqa: BLE001  (the thread's boundary; what it was is told as the problem)
                _log.exception("the plug's connection failed")
                self.problem = f"{type(error).__name__}: {error}"
            self.ready.clear()
            self._end.wait(RECONNECT_SECONDS)


def subscribe(
    broker: Broker, topics: Sequence[str], heard: Callable[[str, bytes, bool], None]
) -> Subscription | str:
    """Return a subscription, or why none can be made: files for the log-in that cannot be read, no paho."""
    try:
        return Subscription(broker, topics, heard)
    except (ConfigError, OSError, ValueError, ImportError) as error:
        return str(error)
