"""Stand-ins for smart plugs: they speak as the real ones do, on a real broker, of a power that the test sets."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self


class TasmotaLike:
    """Answers STATUS 8 and reports on its own every `tele_seconds`, with the stamps of a Tasmota."""

    def __init__(
        self,
        port: int,
        power: Callable[[], float],
        *,
        topic: str = "plug1",
        tele_seconds: float = 300.0,
        decimals: int = 1,
        answers: bool = True,
    ) -> None:
        self._power = power
        self._topic = topic
        self._decimals = decimals
        self._answers = answers
        self._tele_seconds = tele_seconds
        self._end = threading.Event()
        self._total = 12.3
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._asked
        self._client.connect("127.0.0.1", port)
        self._thread = threading.Thread(target=self._report, name="tasmota-like")

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._ready.wait(10)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Fall silent, as a plug that was pulled out."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe(f"cmnd/{self._topic}/STATUS")

    def _asked(self, client: Client, _data: Any, message: Any) -> None:
        if self._answers and message.payload == b"8":
            client.publish(f"stat/{self._topic}/STATUS8", json.dumps({"StatusSNS": self._sensor()}))

    def _report(self) -> None:
        while not self._end.wait(self._tele_seconds):
            self._client.publish(f"tele/{self._topic}/SENSOR", json.dumps(self._sensor()))

    def _sensor(self) -> dict[str, Any]:
        watts = round(self._power(), self._decimals)
        self._total += watts / 3.6e6
        return {
            "Time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"),
            "ENERGY": {
                "Total": round(self._total, 6),
                "Power": watts,
                "Voltage": 230,
                "Current": watts / 230,
            },
        }


class Publisher:
    """Says what the test says, on any topic; answers what it is told to answer."""

    def __init__(
        self, port: int, answers: dict[str, Callable[[bytes], tuple[str, str]]] | None = None
    ) -> None:
        self._answers = answers or {}
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._asked
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish and wait until it is sent."""
        self._client.publish(topic, payload, retain=retain).wait_for_publish(10)

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe([(topic, 0) for topic in (*self._answers, "edgedyno-test/none")])

    def _asked(self, client: Client, _data: Any, message: Any) -> None:
        answer = self._answers.get(message.topic)
        if answer is not None:
            client.publish(*answer(message.payload))
