"""Birth, last will and reconnecting, with a real broker."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.events import Connected, Disconnected
from edgedyno.agent.link import Link
from edgedyno.agent.mqtt import try_broker
from edgedyno.core.broker import Broker
from edgedyno.core.messages import State
from tests.agent.fleet.samples import manifest
from tests.agent.fleet.test_execution import ends_as
from tests.conftest import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin
    from tests.conftest import Mosquitto


def test_birth_on_every_connect(controller: Standin, agent: AgentProcess, mosquitto: Mosquitto) -> None:
    agent.start()
    wait_until(lambda: "caps" in controller.leaves, what="birth")
    birth = controller.states[-1]
    assert birth.online
    assert birth.capabilities_sha256
    mosquitto.kill()
    controller.leaves.clear()
    mosquitto.start()
    wait_until(lambda: {"state", "caps"} <= set(controller.leaves), what="second birth")
    assert controller.states[-1] == birth
    # The subscriptions are there again too.
    ends_as(controller, controller.submit(manifest()), "SUCCEEDED")


def test_a_killed_agent_is_offline_by_its_will_and_comes_back_newer(
    controller: Standin, agent: AgentProcess
) -> None:
    agent.start()
    wait_until(lambda: controller.states and controller.states[-1].online, what="birth")
    first = controller.states[-1]
    agent.kill()
    wait_until(lambda: not controller.states[-1].online, what="last will")
    assert controller.states[-1].session_epoch == first.session_epoch
    assert controller.states[-1].boot_id == first.boot_id
    agent.start()
    wait_until(lambda: controller.states[-1].online, what="second birth")
    assert controller.states[-1].session_epoch > first.session_epoch


def test_a_lost_state_folder_does_not_make_the_board_old(controller: Standin, agent: AgentProcess) -> None:
    stale = State(board="board", online=True, boot_id="another boot", session_epoch=41)
    controller.send("state", stale, retain=True)
    wait_until(lambda: controller.states, what="stale state kept")
    agent.start()
    wait_until(
        lambda: controller.states[-1].session_epoch == 42 and controller.states[-1].online, what="birth"
    )
    agent.kill()
    wait_until(lambda: not controller.states[-1].online, what="last will")
    assert controller.states[-1].session_epoch == 42


class OldBroker:
    """A broker that refuses MQTT 5 as the standard says, and lets MQTT 3.1.1 through to a real one."""

    def __init__(self, real: Mosquitto) -> None:
        self.versions: list[int] = []
        self._real = real
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._sockets: list[socket.socket] = [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._sockets.append(peer)
            connect = peer.recv(4096)
            version = connect[connect.index(b"MQTT") + 4]
            self.versions.append(version)
            if version == 5:
                peer.sendall(bytes([0x20, 2, 0, 1]))  # CONNACK of 3.1.1: unacceptable protocol version
                peer.close()
                continue
            real = socket.create_connection((self._real.host, self._real.port))
            self._sockets.append(real)
            real.sendall(connect)
            for source, target in ((peer, real), (real, peer)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(4096):
                target.sendall(data)
        except OSError:
            return

    def close(self) -> None:
        for item in self._sockets:
            item.close()


@pytest.fixture
def old_broker(mosquitto: Mosquitto) -> Iterator[OldBroker]:
    broker = OldBroker(mosquitto)
    yield broker
    broker.close()


def test_falls_back_to_mqtt_3(old_broker: OldBroker) -> None:
    wakes: list[Any] = []
    link = Link(Broker("127.0.0.1", old_broker.port), board="board", will=b"{}", deliver=wakes.append)
    link.start()
    try:
        wait_until(lambda: link.connected, what="connection")
        assert old_broker.versions == [5, 4]
        assert [type(wake) for wake in wakes] == [Disconnected, Connected]
        assert link.publish("state", b"{}")
    finally:
        link.stop(b"{}")
    assert not link.publish("state", b"{}")


def test_a_check_says_how_it_went(mosquitto: Mosquitto) -> None:
    assert try_broker(Broker(mosquitto.host, mosquitto.port), seconds=5) is None
    problem = try_broker(Broker("127.0.0.1", free_port()), seconds=5)
    assert problem is not None
    assert "refused" in problem
