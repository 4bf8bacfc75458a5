"""Brokers that speak MQTT 3.1.1 alone: rumqttd without its listener for 5, and mosquitto behind one that refuses 5."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Mosquitto, free_port
from tests.protocol.brokers import Iotcore
from tests.protocol.conftest import known, new_name, submit
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.agent.fleet.conftest import AgentProcess
    from tests.protocol.controlled import Controlled

# CONNACK with return code 1, "unacceptable protocol level" (MQTT 3.1.1, section 3.2.2.3).
REFUSAL = bytes([0x20, 2, 0, 1])
NEWEST_LEVEL = 5


class OldDoor:
    """A port before a broker that answers as one does which has never heard of MQTT 5."""

    def __init__(self, target: int) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.refused = 0
        self._target = target
        self._server = socket.create_server((self.host, self.port))
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        first = near.recv(4096)
        # Behind the name "MQTT" stands the level.
        if first[first.index(b"MQTT") + 4] == NEWEST_LEVEL:
            self.refused += 1
            near.sendall(REFUSAL)
            near.close()
            return
        far = socket.create_connection((self.host, self._target))
        far.sendall(first)
        self._open += [near, far]
        threading.Thread(target=_carry, args=(far, near), daemon=True).start()
        _carry(near, far)

    def close(self) -> None:
        """Stop listening and close what is open."""
        self._server.close()
        for one in self._open:
            one.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture(scope="module", params=["iotcore", "mosquitto"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Iotcore | OldDoor]:
    """Start a broker that speaks 3.1.1 alone."""
    folder = tmp_path_factory.mktemp("old")
    if request.param == "iotcore":
        old = Iotcore(folder, old_only=True)
        old.start()
        yield old
        old.kill()
    else:
        real = Mosquitto(folder)
        real.start()
        door = OldDoor(real.port)
        yield door
        assert door.refused >= 2, "agent and controller both tried MQTT 5 first"
        door.close()
        real.kill()


@rule("R4")
def test_a_job_gets_through_over_mqtt_3_1_1(
    controller: Controlled, make_agent: Callable[..., AgentProcess]
) -> None:
    name = new_name()
    agent = make_agent(name)
    agent.start()
    known(controller, name)
    job = submit(controller, name)
    controller.wait_state(job, "SUCCEEDED")
    assert len(controller.results(job)) == 3
    agent.kill()
    controller.stop()
    controller.start()
    agent.start()
    controller.wait_state(submit(controller, name), "SUCCEEDED")
