"""Fixtures of the protocol's tests: a broker of each kind, on it the real controller or one that misbehaves, boards.

Broker and controller are shared by the tests of a module; each test has boards of its own names.
"""

from __future__ import annotations

import itertools
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from edgedyno.core.targets import BoardSelector
from tests.agent.fleet.conftest import AgentProcess, process_alive
from tests.agent.fleet.samples import manifest
from tests.agent.fleet.standin import Standin
from tests.conftest import wait_until
from tests.controller.service.standins import Board
from tests.protocol.brokers import KINDS
from tests.protocol.controlled import Controlled
from tests.protocol.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.protocol.brokers import Broker

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "rule(name, ...): rules of docs/protocol.md that the test checks")


def new_name() -> str:
    """Return a board's id that no other test uses."""
    return f"b{os.getpid()}-{next(_numbers)}"


@pytest.fixture(scope="module", params=list(KINDS))
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Start a broker of each kind."""
    started = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """Return what the module's controller is told beyond the usual; modules override it."""
    return {}


@pytest.fixture(scope="module")
def controller(
    broker: Broker, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Controlled]:
    """Start the real controller."""
    service = Controlled(tmp_path_factory.mktemp("controller"), broker.port, **settings)
    service.start()
    yield service
    service.close()


@pytest.fixture
def make_board(broker: Broker, controller: Controlled) -> Iterator[Callable[..., Board]]:
    """Return what makes a scripted board that the controller knows."""
    boards: list[Board] = []

    def make(name: str | None = None, *, born: bool = True, **options: Any) -> Board:
        board = Board(broker.port, name or new_name(), **options)
        boards.append(board)
        if born:
            board.be_born()
            known(controller, board.name)
        return board

    yield make
    for board in boards:
        board.leave()


def known(controller: Controlled, board: str) -> None:
    """Wait until the controller knows a board and what it is."""

    def is_known() -> bool:
        answer = controller.http.get(f"/boards/{board}")
        return answer.status_code == 200 and answer.json()["capabilities"] is not None

    wait_until(is_known, what=f"the birth of {board}")


@pytest.fixture
def board(make_board: Callable[..., Board]) -> Board:
    """Return a scripted board."""
    return make_board()


def submit(controller: Controlled, board: Board | str, **changes: Any) -> str:
    """Submit a job to one board and wait until it can be taken."""
    name = board if isinstance(board, str) else board.name
    job = controller.submit(boards=BoardSelector(ids=[name]), **changes)
    wait_until(lambda: controller.call("GET", f"/jobs/{job}")["state"] != "building", what="the build")
    return job


def take(board: Board, job: str) -> Any:
    """Have a board ask for its work and return the answer, which has to be this job's."""
    answer = board.next()
    assert answer.record is not None
    assert answer.record.job == job
    return answer


@pytest.fixture
def make_agent(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Return what makes a real agent on the scripted runner; it is not started."""
    agents: list[AgentProcess] = []

    def make(name: str, **config: Any) -> AgentProcess:
        folder = tmp_path / name
        folder.mkdir()
        agents.append(AgentProcess(folder, broker, board=name, heartbeat=1.0, **config))  # type: ignore[arg-type]
        return agents[-1]

    yield make
    for agent in agents:
        agent.kill()
        for start in agent.starts:
            if process_alive(start["pid"]):
                os.killpg(start["pid"], signal.SIGKILL)
        if agent.log.exists():
            print(agent.log.read_text())  # noqa: T201 shown by pytest where the test failed


@pytest.fixture
def standin(broker: Broker) -> Iterator[Standin]:
    """Start a controller that does as a test tells it."""
    scripted = Standin(broker.host, broker.port, board=new_name())
    yield scripted
    scripted.close()


@pytest.fixture
def agent(standin: Standin, make_agent: Callable[..., AgentProcess]) -> AgentProcess:
    """Return a real agent of the scripted controller's board; it is not started."""
    return make_agent(standin.board)


def assign(standin: Standin, number: int = 1, **fields: Any) -> str:
    """Queue an execution at the scripted controller and ring."""
    return standin.submit(manifest(f"job-{number}.{standin.board}", **fields))


def is_born(standin: Standin) -> bool:
    """Tell whether the agent's birth was heard."""
    return any(state.board == standin.board and state.online for state in list(standin.states))


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    """Listen to everything on the broker."""
    ear = Listener(broker.port)
    yield ear
    ear.close()
