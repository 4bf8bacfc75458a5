"""Hears everything that passes a broker, and asks it what it retains."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.core.topics import CONTROLLER_STATE, ROOT, of_board
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


class Heard(NamedTuple):
    """One message."""

    topic: str
    retained: bool
    content: dict[str, Any]


class Listener:
    """A client of its own, subscribed to all topics of the fleet."""

    def __init__(self, port: int, *, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5) -> None:
        self._port = port
        self._version = version
        self.heard: list[Heard] = []
        self._ready = False
        name = f"listener-{os.urandom(4).hex()}"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=version)
        self._client.on_message = self._received
        self._client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/#", 1)
        self._client.on_subscribe = self._subscribed
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(lambda: self._ready, what="subscription")

    def _subscribed(self, *_: Any) -> None:
        self._ready = True

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        # Tests say nonsense too.
        with contextlib.suppress(ValueError):
            self.heard.append(Heard(message.topic, message.retain, json.loads(message.payload)))

    def on(self, board: str, leaf: str) -> list[dict[str, Any]]:
        """Return what was said on a board's topic."""
        topic = of_board(board, leaf) if board != "controller" else CONTROLLER_STATE
        return [heard.content for heard in list(self.heard) if heard.topic == topic]

    def publish(self, board: str, leaf: str, payload: bytes, *, retain: bool = False) -> None:
        """Say something in the name of a board or of its controller."""
        self._client.publish(of_board(board, leaf), payload, qos=1, retain=retain).wait_for_publish(10)

    def retained(self, board: str, leaf: str) -> dict[str, Any] | None:
        """Return what the broker retains on a topic now, as a newcomer gets it."""
        newcomer = Listener(self._port, version=self._version)
        try:
            topic = of_board(board, leaf) if board != "controller" else CONTROLLER_STATE

            def found() -> list[Heard]:
                return [heard for heard in list(newcomer.heard) if heard.topic == topic]

            self._echo(newcomer)
            return found()[-1].content if found() else None
        finally:
            newcomer.close()

    def _echo(self, newcomer: Listener) -> None:
        """Wait until a message that was sent after the subscription has come: retained ones came before it."""
        newcomer.publish("echo", "tele", b'{"echo": 1}')
        wait_until(lambda: newcomer.on("echo", "tele"), what="echo")

    def wait(self, board: str, leaf: str, check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a message on a topic that fits, and return the first."""
        wait_until(lambda: any(check(one) for one in self.on(board, leaf)), what=f"{board}/{leaf}")
        return next(one for one in self.on(board, leaf) if check(one))

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
