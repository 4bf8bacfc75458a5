"""Fixtures of the service's tests: both databases, a running service, boards on a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import pytest_asyncio

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.service import Service
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate
from tests.controller.service.postgresql import PostgreSql, binaries
from tests.controller.service.standins import Board, ScriptedLaboratory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.conftest import Mosquitto


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSql]:
    """Start a PostgreSQL for the session."""
    programs = binaries()
    if programs is None:
        pytest.fail("no PostgreSQL server found; install Debian's package `postgresql`")
    server = PostgreSql(programs)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite3'}"
    server: PostgreSql = request.getfixturevalue("postgresql")
    return server.url()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return a migrated database."""
    opened = Database(database_url)
    migrate(opened.engine)
    yield opened
    opened.close()


@pytest.fixture
def config(tmp_path: Path, mosquitto: Mosquitto, database_url: str) -> ControllerConfig:
    """Return the configuration of a service on free ports."""
    return ControllerConfig(
        data_dir=str(tmp_path / "data"),
        database_url=database_url,
        broker_host=mosquitto.host,
        broker_port=mosquitto.port,
        listen_port=0,
    )


@pytest.fixture
def laboratory() -> ScriptedLaboratory:
    """Return the stand-in for the lab."""
    return ScriptedLaboratory()


def make_service(config: ControllerConfig, laboratory: ScriptedLaboratory) -> Service:
    """Return a service whose lab is scripted; boards without dot products need reduced range."""
    return Service(
        config, laboratory=laboratory, needs_reduce_range=lambda features: "asimddp" not in features
    )


@pytest_asyncio.fixture
async def service(config: ControllerConfig, laboratory: ScriptedLaboratory) -> AsyncIterator[Service]:
    """Run a service."""
    async with make_service(config, laboratory).running() as running:
        yield running


@pytest_asyncio.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the service's API."""
    async with httpx.AsyncClient(base_url=f"{service.url}/api/v1", trust_env=False) as client:
        yield client


@pytest.fixture
def make_board(mosquitto: Mosquitto) -> Iterator[Callable[..., Board]]:
    """Return what makes a board on the broker."""
    boards: list[Board] = []

    def make(name: str = "rpi4", **options: int) -> Board:
        boards.append(Board(mosquitto.port, name, **options))  # type: ignore[arg-type]
        return boards[-1]

    yield make
    for board in boards:
        board.leave()
