"""Records what today's agent and controller say to each other, as fixtures for the versions after them.

    python -m tests.protocol.record tests/fixtures/protocol/VERSION

Everything is real but the runner and the lab, which are scripted. Run once for each release, before it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edgedyno.core.targets import BoardSelector
from edgedyno.core.topics import ROOT
from tests.agent.fleet.conftest import AgentProcess
from tests.conftest import Mosquitto, wait_until
from tests.controller.service.samples import capabilities, message, result
from tests.controller.service.standins import Board
from tests.protocol.controlled import Controlled

AGENT = "recorded"
SCRIPTED = "scripted"


class Recorder:
    """Writes the first message of each kind into a folder."""

    def __init__(self, port: int, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._received
        self._client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if not message.payload:
            return
        payload = json.loads(message.payload)
        board, leaf = message.topic.removeprefix(f"{ROOT}/").split("/", 1)
        path = self._folder / f"{_name(board, leaf, payload)}.json"
        if not path.exists():
            document = {"topic": message.topic, "qos": message.qos, "payload": payload}
            path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def has(self, name: str) -> bool:
        """Tell whether a message of this name was recorded."""
        return (self._folder / f"{name}.json").exists()

    def stop(self) -> None:
        """End the recording."""
        self._client.disconnect()
        self._client.loop_stop()


def _name(board: str, leaf: str, payload: dict[str, Any]) -> str:
    """Name a message by its topic and by what it says."""
    parts = [leaf.replace("/", "-") if board != "controller" else "controller"]
    if "online" in payload:
        parts.append("online" if payload["online"] else "offline")
    if leaf == "state" and payload.get("execution"):
        parts.append("running")
    if leaf == "desired":
        parts.append("head" if payload["execution"] else "empty")
        parts += ["cancel"] if payload["cancel_requested"] else []
    if leaf == "req/update":
        parts.append(payload["state"].lower())
    if leaf.startswith("rsp/"):
        parts.append(payload["error"] or ("given" if payload.get("record") else "nothing"))
    if leaf == "ack":
        parts.append("refused" if payload["refused"] else "all")
    return ".".join(parts)


def main() -> None:
    """Record into the folder in the first argument."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        broker = Mosquitto(Path(name))
        broker.start()
        recorder = Recorder(broker.port, folder)
        controller = Controlled(Path(name), broker.port, lease_seconds=3.0)
        controller.start()
        agent = AgentProcess(Path(name), broker, board=AGENT, heartbeat=1.0)
        board = Board(broker.port, SCRIPTED)
        try:
            _talk(controller, agent, recorder)
            _argue(controller, board)
            controller.stop()
            wait_until(lambda: recorder.has("controller.offline"), what="the controller's farewell")
        finally:
            agent.kill()
            board.leave()
            controller.close()
            recorder.stop()
            broker.kill()


def _talk(controller: Controlled, agent: AgentProcess, recorder: Recorder) -> None:
    """Run a job that succeeds, one that fails and one that is canceled; restart the agent inside the last."""
    agent.start()
    wait_until(lambda: recorder.has("caps"), what="birth")
    wait_until(lambda: controller.http.get(f"/boards/{AGENT}").status_code == 200, what="the board")
    only = BoardSelector(ids=[AGENT])
    controller.wait_state(controller.submit(boards=only), "SUCCEEDED")
    agent.script(failure={"code": "runner.failed", "text": "a made-up failure"})
    controller.wait_state(controller.submit(boards=only), "FAILED")
    agent.script(trials=1000, pause_seconds=0.1, phase="measure")
    job = controller.submit(boards=only)
    controller.wait_state(job, "IN_PROGRESS")
    agent.kill()
    agent.start()
    wait_until(lambda: recorder.has("rsp-get.given"), what="the record after a restart")
    wait_until(lambda: recorder.has("req-renew"), what="a renewal")
    controller.call("POST", f"/jobs/{job}/cancel")
    controller.wait_state(job, "CANCELED")
    agent.stop()


def _argue(controller: Controlled, board: Board) -> None:
    """Have a scripted board ask what is refused."""
    board.be_born(capabilities())
    wait_until(lambda: controller.http.get(f"/boards/{SCRIPTED}").status_code == 200, what="the board")
    job = controller.submit(boards=BoardSelector(ids=[SCRIPTED]))
    controller.wait_state(job, "QUEUED")
    wait_until(lambda: any(one.execution for one in board.desired), what="the doorbell")
    answer = board.next()
    board.renew(answer, lease_id="another")
    board.update(answer, "IN_PROGRESS", expected_version=99)
    board.renew(answer, execution="unknown")
    board.deliver(message(result("unknown." + SCRIPTED), 1))
    board.update(answer, "REJECTED", reason="manifest.invalid: a made-up rejection")
    board.renew(answer)


if __name__ == "__main__":
    main()
