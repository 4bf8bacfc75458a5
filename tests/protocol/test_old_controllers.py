"""Today's agent with a controller that says no more than a released version did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.core.messages import Message, encode
from edgedyno.core.topics import CONTROLLER_STATE, of_board
from tests.agent.fleet.standin import Standin
from tests.conftest import wait_until
from tests.protocol.conftest import assign, new_name
from tests.protocol.rules import rule
from tests.protocol.test_versions import RECORDED, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.agent.fleet.conftest import AgentProcess
    from tests.protocol.brokers import Broker


class OldController(Standin):
    """A controller that says no more than a released version was recorded to say."""

    def __init__(self, folder: Path, host: str, port: int, *, board: str) -> None:
        self._said = {path.stem: json.loads(path.read_text())["payload"] for path in folder.glob("*.json")}
        super().__init__(host, port, board=board)

    def _on_connect(self, client: Any, *_: Any) -> None:
        client.subscribe(of_board(self.board, "#"), qos=1)
        online = {**self._said["controller.online"], "api_url": self.artifacts.url}
        client.publish(CONTROLLER_STATE, json.dumps(online), 1, retain=True)

    def send(self, leaf: str, message: Message | bytes, *, retain: bool = False) -> None:
        """Leave out of a message what the old version did not say."""
        payload = message if isinstance(message, bytes) else encode(message)
        name = {"desired": "desired.head", "ack": "ack.refused"}.get(leaf) or (
            "rsp-next.given" if leaf == "rsp/next" else "rsp-update.version.stale"
        )
        super().send(leaf, json.dumps(_only(json.loads(payload), self._said[name])).encode(), retain=retain)


def _only(found: Any, known: Any) -> Any:
    """Return what is found, without the fields that the known one has not."""
    if not isinstance(found, dict) or not isinstance(known, dict):
        return found
    return {name: _only(value, known[name]) for name, value in found.items() if name in known}


@rule("R71")
@pytest.mark.parametrize("version", VERSIONS)
def test_an_agent_of_today_gets_through_an_execution_with_a_controller_of_a_released_version(
    broker: Broker, make_agent: Callable[..., AgentProcess], version: str
) -> None:
    name = new_name()
    old = OldController(RECORDED / version, broker.host, broker.port, board=name)
    try:
        agent = make_agent(name)
        agent.script(trials=3, pause_seconds=0.1)
        agent.start()
        execution = assign(old)
        wait_until(lambda: old.state_of(execution) == "SUCCEEDED", what="the end")
        assert len(old.trials(execution)) == 3
        second = assign(old, 2)
        agent.script(trials=1000, pause_seconds=0.05)
        wait_until(lambda: old.state_of(second) == "IN_PROGRESS", what="the second")
        old.cancel(second)
        wait_until(lambda: old.state_of(second) == "CANCELED", what="its end")
    finally:
        old.close()
