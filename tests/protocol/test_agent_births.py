"""Births and wills of the real agent: at its starts, at its ends, after every connect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgedyno.core.messages import Get, encode
from tests.conftest import wait_until
from tests.protocol.conftest import assign, is_born
from tests.protocol.rules import rule

if TYPE_CHECKING:
    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin
    from tests.protocol.brokers import Broker
    from tests.protocol.listener import Listener


def epochs(standin: Standin) -> list[int]:
    """Return the epochs of the births that were heard."""
    return [one.session_epoch for one in list(standin.states) if one.board == standin.board and one.online]


@rule("R1", "R13")
def test_a_board_that_dies_leaves_its_will_and_one_that_ends_says_so(
    standin: Standin, agent: AgentProcess, listener: Listener
) -> None:
    agent.start()
    wait_until(lambda: is_born(standin), what="birth")
    first = epochs(standin)[-1]
    agent.kill()
    will = listener.wait(standin.board, "state", lambda one: not one["online"])
    assert will["session_epoch"] == first
    agent.start()
    wait_until(lambda: epochs(standin)[-1] > first, what="second birth")
    assert agent.stop() == 0
    wait_until(
        lambda: standin.states[-1].session_epoch > first and not standin.states[-1].online, what="farewell"
    )
    kept = listener.retained(standin.board, "state")
    assert kept is not None
    assert kept["online"] is False
    assert kept["session_epoch"] > first


@rule("R8")
def test_every_start_has_a_higher_epoch(standin: Standin, agent: AgentProcess) -> None:
    for starts in (1, 2, 3):
        agent.start()
        wait_until(lambda: len(set(epochs(standin))) == starts, what="birth")  # noqa: B023 called at once
        agent.kill()
    assert epochs(standin) == sorted(epochs(standin))


@rule("R10")
def test_a_will_that_comes_late_is_contradicted(
    standin: Standin, agent: AgentProcess, listener: Listener
) -> None:
    agent.start()
    wait_until(lambda: is_born(standin), what="birth")
    will = msgspec.structs.replace(standin.states[-1], online=False)
    births = len(epochs(standin))
    listener.publish(standin.board, "state", encode(will), retain=True)
    wait_until(lambda: len(epochs(standin)) > births, what="birth again")
    wait_until(
        lambda: (listener.retained(standin.board, "state") or {}).get("online"), what="a retained birth"
    )


@rule("R11")
def test_an_agent_that_lost_its_folder_begins_a_newer_session(
    standin: Standin, agent: AgentProcess, listener: Listener
) -> None:
    agent.start()
    wait_until(lambda: is_born(standin), what="birth")
    claim = msgspec.structs.replace(standin.states[-1], online=False, session_epoch=40, boot_id="another")
    agent.kill()
    wait_until(lambda: not standin.states[-1].online, what="the will, which would come after the claim")
    listener.publish(standin.board, "state", encode(claim), retain=True)
    agent.start()
    wait_until(lambda: max(epochs(standin)) > 40, what="a newer session")


@rule("R2", "R7")
def test_after_every_connect_there_is_a_birth_and_the_record_is_asked_for(
    standin: Standin, agent: AgentProcess, broker: Broker
) -> None:
    agent.script(trials=1000, pause_seconds=0.05)
    agent.start()
    execution = assign(standin)
    wait_until(lambda: len(agent.starts) == 1, what="the runner")
    broker.kill()
    standin.states.clear()
    standin.leaves.clear()
    broker.start()
    wait_until(lambda: is_born(standin) and "caps" in standin.leaves, what="birth after the broker's return")
    wait_until(lambda: standin.asked(Get), what="the record being asked for")
    standin.ring()
    standin.cancel(execution)
    wait_until(lambda: standin.state_of(execution) == "CANCELED", what="a doorbell after the return")


@rule("R7", "R47")
def test_an_execution_that_was_begun_anew_elsewhere_is_dropped_on_connect(
    standin: Standin, agent: AgentProcess, broker: Broker
) -> None:
    agent.script(trials=1000, pause_seconds=0.05)
    agent.start()
    execution = assign(standin)
    wait_until(lambda: standin.state_of(execution) == "IN_PROGRESS", what="the execution's begin")
    wait_until(lambda: len(agent.starts) == 1, what="the runner")
    broker.kill()
    standin.change(execution, attempt=2, state="QUEUED")
    broker.start()
    wait_until(lambda: standin.state_of(execution) == "IN_PROGRESS", what="the second attempt")
    wait_until(lambda: len(agent.starts) == 2, what="its runner")
    wait_until(
        lambda: any(message.attempt == 2 for message in list(standin.results)), what="its first result"
    )


@rule("R3")
def test_a_broker_that_comes_late_is_found(standin: Standin, agent: AgentProcess, broker: Broker) -> None:
    broker.kill()
    agent.start()
    wait_until(lambda: "no connection to the broker" in agent.log.read_text(), what="a failed try")
    broker.start()
    wait_until(lambda: is_born(standin), what="birth")
