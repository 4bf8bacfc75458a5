"""A full disk as the operator sees it: the board says why it refuses work, and goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedyno.core.messages import Next
from tests.agent.fleet.conftest import AgentProcess
from tests.agent.fleet.samples import manifest
from tests.agent.fleet.test_execution import ends_as, trials
from tests.chaos.fleet.disks import Disk, mounted
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agent.fleet.standin import Standin
    from tests.conftest import Mosquitto

MIN_FREE_BYTES = 2 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small disk where the agent keeps its state."""
    with mounted(tmp_path / "state", 12) as disk:
        yield disk


@pytest.fixture
def agent(tmp_path: Path, mosquitto: Mosquitto, disk: Disk) -> Iterator[AgentProcess]:
    """Give an agent with its state on the small disk."""
    process = AgentProcess(tmp_path, mosquitto, min_free=f"{MIN_FREE_BYTES} B", heartbeat="1 s")
    yield process
    process.kill()


def refuses(controller: Standin) -> str:
    """Return why the board says that it takes no work."""
    return (controller.states[-1].refuses or "") if controller.states else ""


def test_new_work_is_refused_until_there_is_space_again(
    controller: Standin, agent: AgentProcess, disk: Disk
) -> None:
    agent.start()
    wait_until(lambda: controller.asked(Next), what="the first question")
    disk.fill()
    controller.say_online()
    wait_until(lambda: refuses(controller).startswith("storage.full: "), what="a refusal")
    assert "are wanted (min_free)" in refuses(controller)
    # Counted only now: a question from before the refusal may have been on its way, and come twice.
    asked, beats = len(controller.asked(Next)), controller.leaves.count("tele")
    execution = controller.submit(manifest())
    wait_until(lambda: controller.leaves.count("tele") >= beats + 2, what="two heartbeats after the bell")
    assert len(controller.asked(Next)) == asked
    assert controller.state_of(execution) == "QUEUED"
    disk.free()
    ends_as(controller, execution, "SUCCEEDED")
    assert refuses(controller) == ""
    assert controller.trials(execution) == trials(3)


def finished(agent: AgentProcess) -> int:
    """Return how many results the agent has written down."""
    return agent.log.read_text().count("trial has its result")


def test_what_runs_keeps_its_results_and_goes_on(
    controller: Standin, agent: AgentProcess, disk: Disk, mosquitto: Mosquitto
) -> None:
    agent.script(trials=60, pause_seconds=0.05)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.trials(execution), what="a result")
    mosquitto.kill()
    disk.fill()
    wait_until(lambda: "giving up the reserved" in agent.log.read_text(), what="the reserve given up")
    wait_until(lambda: finished(agent) == 60, what="results on a full disk")
    disk.free()
    mosquitto.start()
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(60)
    wait_until((agent.state_dir / "reserve").exists, what="the reserve taken up again")


def test_results_are_kept_on_a_full_disk_and_so_are_their_acks(
    controller: Standin, agent: AgentProcess, disk: Disk
) -> None:
    controller.acks = False
    agent.script(trials=4, pause_seconds=0.4)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.results, what="the first result")
    disk.fill()
    wait_until(lambda: len({one.seq for one in controller.results}) == 4, what="all results")
    agent.kill()
    agent.start()
    controller.acks = True
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(4)
    assert agent.running


def test_a_disk_with_nothing_left_pauses_the_run_and_loses_nothing(
    controller: Standin, agent: AgentProcess, disk: Disk, mosquitto: Mosquitto
) -> None:
    """The reserve is gone too: the runner waits, what it had finished is there, and it goes on by itself."""
    agent.script(trials=40, pause_seconds=0.05)
    agent.start()
    execution = controller.submit(manifest())
    wait_until(lambda: controller.trials(execution), what="a result")
    mosquitto.kill()
    disk.fill()
    wait_until(lambda: not (agent.state_dir / "reserve").exists(), what="the reserve given up")
    disk.fill()
    wait_until(lambda: "has to wait" in agent.log.read_text(), what="the pause", seconds=30)
    assert agent.running
    assert finished(agent) < 40
    disk.free()
    mosquitto.start()
    ends_as(controller, execution, "SUCCEEDED")
    assert controller.trials(execution) == trials(40)


def test_an_agent_starts_on_a_full_disk(controller: Standin, agent: AgentProcess, disk: Disk) -> None:
    agent.start()
    wait_until(lambda: controller.states, what="the birth")
    agent.kill()
    disk.fill()
    born = len(controller.states)
    agent.start()
    wait_until(lambda: len(controller.states) > born and controller.states[-1].online, what="the next birth")
    wait_until(lambda: refuses(controller).startswith("storage.full: "), what="a refusal")
    disk.free()
    wait_until(lambda: not refuses(controller), what="room again")
