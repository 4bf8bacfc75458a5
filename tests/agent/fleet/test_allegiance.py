"""A board does not heed another fleet's controller while its own fleet's work is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edgedyno.agent.allegiance import FAITHFUL_SECONDS, Allegiance
from edgedyno.agent.database import Database
from edgedyno.core.messages import Ack, ControllerState, Refusal, encode
from edgedyno.core.topics import CONTROLLER_STATE
from tests.agent.fleet.samples import manifest
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agent.fleet.conftest import AgentProcess
    from tests.agent.fleet.standin import Standin

MINE, OTHER = (ControllerState(online=True, fleet=fleet) for fleet in ("mine", "other"))


class Clock:
    """Time that passes when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Open a database."""
    opened = Database(tmp_path)
    yield opened
    opened.close()


def after(allegiance: Allegiance, state: ControllerState, *, busy: bool) -> bool:
    """Tell whether what comes is foreign once this was heard."""
    allegiance.hear(state, busy=busy)
    return allegiance.foreign


def test_open_work_keeps_a_board_faithful_across_restarts_but_not_for_ever(database: Database) -> None:
    clock = Clock()
    assert not after(Allegiance(database, clock), MINE, busy=False)
    again = Allegiance(database, clock)
    assert after(again, OTHER, busy=True)
    assert not after(again, MINE, busy=True)
    assert after(again, OTHER, busy=True)
    clock.now += FAITHFUL_SECONDS
    assert not after(again, OTHER, busy=True)
    assert after(again, MINE, busy=True), "the board went over to the other fleet"


def test_an_idle_board_serves_whoever_comes(database: Database) -> None:
    allegiance = Allegiance(database, Clock())
    for state in (MINE, OTHER, ControllerState(online=True), MINE):
        assert not after(allegiance, state, busy=False)


def say(controller: Standin, state: ControllerState) -> None:
    """Publish the word of a controller."""
    controller._client.publish(CONTROLLER_STATE, encode(state), 1)


def test_a_result_is_kept_from_another_fleets_refusal(controller: Standin, agent: AgentProcess) -> None:
    controller.acks = False
    agent.script(trials=1)
    agent.start()
    wait_until(lambda: controller.states, what="birth")
    say(controller, MINE)
    name = controller.submit(manifest())
    wait_until(lambda: controller.results, what="a result")
    found = controller.results[0]
    say(controller, OTHER)
    refusal = Refusal(found.seq, "execution.unknown", "no such execution at this fleet")
    controller.send("ack", Ack(stream_epoch=found.stream_epoch, up_to=found.seq, refused=[refusal]))
    wait_until(lambda: "is not heeded" in agent.log.read_text(), what="the other fleet noticed")
    controller.acks = True
    say(controller, MINE)
    wait_until(lambda: controller.state_of(name) == "SUCCEEDED", what="the end of the execution")
    assert controller.trials(name) == [found.record.trial]


def test_a_will_that_comes_late_is_answered_with_a_birth(controller: Standin, agent: AgentProcess) -> None:
    agent.start()
    wait_until(lambda: controller.states, what="birth")
    birth = controller.states[-1]
    assert birth.online
    for epoch in (birth.session_epoch - 1, birth.session_epoch):
        heard = len(controller.states)
        will = msgspec.structs.replace(birth, online=False, session_epoch=epoch)
        controller.send("state", will, retain=True)
        wait_until(lambda: len(controller.states) >= heard + 2, what="will and birth")  # noqa: B023 used at once
        assert controller.states[-1] == birth
