"""The embedded broker that `edgedyno up` uses where mosquitto is not installed."""

from __future__ import annotations

import queue
import subprocess
from typing import TYPE_CHECKING

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.cli import broker
from tests.conftest import free_port, listens, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LARGE_BYTES = 200_000  # a manifest is larger than the embedded broker's own limit of 20 KiB


def test_the_embedded_broker_speaks_mqtt_5_and_carries_large_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgedyno.cli.broker.shutil.which", lambda *_, **__: None)
    port = free_port()
    name, command = broker.broker_command(tmp_path, port)
    assert name.startswith("iotcore")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    came: queue.Queue[MQTTMessage] = queue.Queue()
    client.on_connect = lambda connected, *_: connected.subscribe("edgedyno/v1/a/caps", 1)
    client.on_subscribe = lambda subscribed, *_: subscribed.publish(
        "edgedyno/v1/a/caps", bytes(LARGE_BYTES), 1
    )
    client.on_message = lambda _client, _data, message: came.put(message)
    try:
        wait_until(lambda: listens(port), what="the embedded broker listening")
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert len(came.get(timeout=20).payload) == LARGE_BYTES
    finally:
        client.loop_stop()
        client.disconnect()
        process.terminate()
        process.wait()
