"""Results reach the controller: broker gone, no ack, refusals, doubled and lost messages, no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedyno.agent.delivery import WINDOW
from edgedyno.core.messages import Ack
from tests.agent.fleet.samples import manifest
from tests.agent.fleet.test_execution import ends_as, trials
from tests.conftest import wait_until

if TYPE_CHECKING:
    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin
    from tests.conftest import Mosquitto


def test_results_survive_the_loss_of_the_broker(
    controller: Standin, agent: AgentProcess, mosquitto: Mosquitto
) -> None:
    agent.script(trials=30, pause_seconds=0.02)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.trials(execution), what="a result")
    mosquitto.kill()
    wait_until(lambda: "no connection" in agent.log.read_text(), what="loss noticed")
    mosquitto.start()
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(30)
    keys = [(m.stream_epoch, m.seq) for m in controller.counted.values()]
    assert sorted(seq for _, seq in keys) == list(range(1, 31))


def test_what_was_not_acknowledged_is_sent_again_in_order(
    controller: Standin, agent: AgentProcess, mosquitto: Mosquitto
) -> None:
    controller.acks = False
    count = WINDOW + 10
    agent.script(trials=count)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: len(controller.results) == WINDOW, what="a full window")
    controller.acks = True
    mosquitto.kill()
    mosquitto.start()
    ends_as(controller, execution, "SUCCEEDED")
    first = [message.msg_id for message in controller.results[:WINDOW]]
    # Agent and controller come back one after the other, and either may have all of it sent once more.
    again = {message.msg_id: message.seq for message in controller.results[WINDOW:]}
    assert list(again.values()) == list(range(1, count + 1))
    assert list(again)[:WINDOW] == first
    assert controller.trials(execution) == trials(count)


def test_nothing_leaves_before_the_ack_and_foreign_acks_are_ignored(
    controller: Standin, agent: AgentProcess
) -> None:
    controller.acks = False
    agent.script(trials=3)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: len(controller.results) == 3, what="results")
    controller.send("ack", Ack(stream_epoch="another", up_to=3))
    controller.send("ack", Ack(stream_epoch=controller.results[0].stream_epoch, up_to=2))
    agent.kill()
    assert controller.state_of(execution) == "IN_PROGRESS"
    controller.acks = True
    agent.start()
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.results[-1].seq == 3


def test_a_refused_result_leaves_for_good(controller: Standin, agent: AgentProcess) -> None:
    controller.refuse[trials(2)[1]] = "not known here"
    agent.script(trials=3)
    agent.start()
    execution = controller.submit(manifest())
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == [trials(3)[0], trials(3)[2]]
    assert "refused result 2: result.refused: not known here" in agent.log.read_text()


def test_a_result_waits_for_its_artifact(controller: Standin, agent: AgentProcess) -> None:
    controller.artifacts.status = 503
    agent.script(trials=2, samples=True)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.artifacts.log, what="a try to upload")
    assert not controller.results
    controller.artifacts.status = None
    ends_as(controller, execution, "SUCCEEDED")
    assert all(m.record.samples_sha256 in controller.artifacts.files for m in controller.results)


def test_an_artifact_that_is_refused_does_not_hold_its_result_back(
    controller: Standin, agent: AgentProcess
) -> None:
    controller.artifacts.status = 403
    agent.script(trials=2, samples=True)
    agent.start()
    execution = controller.submit(manifest())
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(2)
    assert "goes without" in agent.log.read_text()


def test_an_ack_from_the_future_begins_a_new_stream(controller: Standin, agent: AgentProcess) -> None:
    controller.acks = False
    agent.script(trials=2)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: len(controller.results) == 2, what="results")
    old = controller.results[0].stream_epoch
    controller.acks = True
    controller.send("ack", Ack(stream_epoch=old, up_to=99))
    ends_as(controller, execution, "SUCCEEDED")
    assert {m.stream_epoch for m in controller.counted.values()}.isdisjoint({old})
    assert controller.trials(execution) == trials(2)
