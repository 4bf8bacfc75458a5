"""Listens to what boards say at the broker, and says some of it again, much later: old wills, old messages."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import msgspec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.core.messages import State, decode, encode
from edgedyno.core.topics import ROOT, of_board, parse

if TYPE_CHECKING:
    import random

KEPT = 200
SAID_BY_BOARDS = ("result", "req/update", "req/renew", "req/next", "caps")
SYSTEM = "$SYS/broker/"
COUNTS = {"messages/stored": "stored", "retained messages/count": "retained"}


class Observer:
    """A client of its own beside the fleet's."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._said: defaultdict[str, deque[tuple[str, bytes]]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._births: defaultdict[str, list[State]] = defaultdict(list)
        self.counts: dict[str, int] = {}
        """What the broker says that it holds."""
        self.states: dict[str, State] = {}
        """The newest state on each board's topic."""
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_message = self._received

    def start(self) -> None:
        """Connect, and stay connected."""
        self._client.connect_async("127.0.0.1", self._port, keepalive=10)
        self._client.loop_start()

    def stop(self) -> None:
        """End."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Client, *_: Any) -> None:
        topics = [f"{ROOT}/+/{leaf}" for leaf in ("result", "req/+", "state", "caps")]
        client.subscribe([(topic, 0) for topic in [*topics, *(SYSTEM + name for name in COUNTS)]])

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.topic.startswith(SYSTEM):
            self.counts[COUNTS[message.topic.removeprefix(SYSTEM)]] = int(message.payload)
            return
        payload = bytes(message.payload)
        board, leaf = parse(message.topic) or ("", "")
        with self._lock:
            if leaf == "state" and payload:
                state = decode(payload, State)
                self.states[board] = state
                if state.online:
                    self._births[board].append(state)
            elif leaf in SAID_BY_BOARDS:
                self._said[board].append((leaf, payload))

    def say_old_will(self, board: str, chance: random.Random) -> bool:
        """Publish the will of a session that is not the newest; False while there is none."""
        with self._lock:
            births = self._births[board]
            newest = max((birth.session_epoch for birth in births), default=0)
            older = [birth for birth in births if birth.session_epoch < newest]
        if not older or not self._client.is_connected():
            return False
        will = msgspec.structs.replace(chance.choice(older), online=False, execution=None)
        self._client.publish(of_board(board, "state"), encode(will), qos=1, retain=True)
        return True

    def say_again(self, board: str, chance: random.Random) -> bool:
        """Publish some of what a board said long ago; False while there is nothing."""
        with self._lock:
            old = list(self._said[board])[:-5]
        if not old or not self._client.is_connected():
            return False
        for leaf, payload in chance.sample(old, min(8, len(old))):
            self._client.publish(of_board(board, leaf), payload, qos=1)
        return True
