"""A board whose disk is full takes no new work, keeps what it has measured, and goes on when there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent.fleet.conftest import AgentProcess
from tests.agent.fleet.samples import manifest
from tests.chaos.fleet import disks
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agent.fleet.standin import Standin
    from tests.conftest import Mosquitto


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[disks.Disk]:
    """Mount a small disk where the agent keeps its state."""
    with disks.mounted(tmp_path / "state", 20) as disk:
        yield disk


@pytest.fixture
def small(disk: disks.Disk, tmp_path: Path, mosquitto: Mosquitto) -> Iterator[AgentProcess]:
    """Give an agent on the small disk that is not started yet."""
    assert disk.folder.is_dir()
    process = AgentProcess(tmp_path, mosquitto)
    yield process
    process.kill()


def test_no_new_work_begins_on_a_full_disk(
    controller: Standin, small: AgentProcess, disk: disks.Disk
) -> None:
    small.start()
    wait_until(lambda: controller.states, what="birth")
    disk.fill()
    name = controller.submit(manifest())
    wait_until(lambda: "no new executions: storage.full" in small.log.read_text(), what="the refusal")
    assert controller.state_of(name) == "QUEUED"
    disk.free()
    controller.ring()
    wait_until(lambda: controller.state_of(name) == "SUCCEEDED", what="the end of the execution")
    assert small.running


def test_results_are_kept_on_a_full_disk_and_so_are_their_acks(
    controller: Standin, small: AgentProcess, disk: disks.Disk
) -> None:
    controller.acks = False
    small.script(trials=4, pause_seconds=0.4)
    small.start()
    name = controller.submit(manifest())
    wait_until(lambda: controller.results, what="the first result")
    disk.fill()
    wait_until(lambda: len({one.seq for one in controller.results}) == 4, what="all results")
    small.kill()
    small.start()
    controller.acks = True
    wait_until(lambda: controller.state_of(name) == "SUCCEEDED", seconds=40, what="the end of the execution")
    assert len(controller.trials(name)) == 4
    assert small.running
