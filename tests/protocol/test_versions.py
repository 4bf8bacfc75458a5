"""What released versions are recorded to have said, taken by today's agent and controller."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.agent.assignment import read_assignment
from edgedyno.controller.ingest import open_result
from edgedyno.controller.requests import REQUESTS, open_request
from edgedyno.core.messages import (
    Ack,
    Caps,
    ControllerState,
    Desired,
    Message,
    Response,
    State,
    Telemetry,
    decode,
    encode,
)
from edgedyno.core.topics import CONTROLLER_STATE, parse
from tests.conftest import ROOT, wait_until
from tests.protocol.conftest import submit
from tests.protocol.record import AGENT
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.controlled import Controlled
    from tests.protocol.listener import Listener

RECORDED = ROOT / "tests/fixtures/protocol"
VERSIONS = sorted(path.name for path in RECORDED.iterdir())
MESSAGES = sorted(RECORDED.glob("*/*.json"))
PLAIN: dict[str, type[Message]] = {
    "state": State,
    "caps": Caps,
    "desired": Desired,
    "ack": Ack,
    "tele": Telemetry,
    **{f"rsp/{operation}": Response for operation in REQUESTS},
}


def read(path: Path) -> tuple[str, bytes]:
    """Return the topic and the payload of a recorded message."""
    document = json.loads(path.read_text())
    return document["topic"], json.dumps(document["payload"]).encode()


@rule("R69")
@pytest.mark.parametrize("path", MESSAGES, ids=[f"{path.parent.name}-{path.stem}" for path in MESSAGES])
def test_a_recorded_message_is_taken(path: Path) -> None:
    topic, payload = read(path)
    if topic == CONTROLLER_STATE:
        assert decode(payload, ControllerState)
        return
    board, leaf = parse(topic) or ("", "")
    if leaf == "result":
        arrival = open_result(board, payload)
        assert arrival is not None
        assert arrival.result is not None
        assert arrival.problem is None
    elif leaf.startswith("req/"):
        assert open_request(leaf.removeprefix("req/"), payload)
    else:
        again = encode(decode(payload, PLAIN[leaf]))
        # Nothing of what it says is lost on the way through today's types.
        assert json.loads(again).items() >= json.loads(payload).items()
    if path.stem == "rsp-next.given":
        assignment = read_assignment(payload, board=board)
        assert assignment.rejection is None
        assert assignment.manifest is not None


@rule("R70")
@pytest.mark.parametrize("version", VERSIONS)
def test_an_agent_of_a_released_version_gets_through_an_execution(
    controller: Controlled, listener: Listener, version: str
) -> None:
    folder = RECORDED / version

    def say(name: str, **changes: Any) -> None:
        document = json.loads((folder / f"{name}.json").read_text())
        payload = _changed(document["payload"], {"request_id": name, **changes})
        listener.publish(AGENT, document["topic"].split("/", 3)[3], json.dumps(payload).encode())

    def hear(name: str, leaf: str) -> dict[str, Any]:
        return listener.wait(AGENT, leaf, lambda one: one["request_id"] == name)

    say("state.online")
    say("caps")
    wait_until(lambda: controller.http.get(f"/boards/{AGENT}").status_code == 200, what="birth")
    wait_until(lambda: controller.call("GET", f"/boards/{AGENT}")["capabilities"], what="capabilities")
    job = submit(controller, AGENT)
    say("req-next")
    answer = hear("req-next", "rsp/next")
    about = {"execution": answer["record"]["execution"], "lease_id": answer["lease"]["lease_id"]}
    say("req-get", **about)
    assert hear("req-get", "rsp/get")["record"]["state"] == "IN_PROGRESS"
    say("req-renew", **about)
    assert hear("req-renew", "rsp/renew")["error"] is None
    say("req-update.in_progress", **about, expected_version=answer["record"]["version"])
    record = hear("req-update.in_progress", "rsp/update")["record"]
    say("tele")
    say("result", **about, job=job, seq=1, oldest_seq=1, attempt=1)
    listener.wait(AGENT, "ack", lambda one: one["up_to"] >= 1)
    say("req-update.succeeded", **about, expected_version=record["version"])
    assert hear("req-update.succeeded", "rsp/update")["record"]["state"] == "SUCCEEDED"
    assert len(controller.results(job)) == 1
    say("state.offline")
    wait_until(lambda: not controller.call("GET", f"/boards/{AGENT}")["online"], what="farewell")


def _changed(payload: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a message with fields changed where it has them, in the result that it carries too."""
    changed = {name: changes.get(name, value) for name, value in payload.items()}
    if "record" in changed:
        changed["record"] = {name: changes.get(name, value) for name, value in payload["record"].items()}
    return changed
