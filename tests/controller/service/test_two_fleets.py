"""Two controllers with databases of their own at one broker: the second stands by, and boards lose nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import httpx
import msgspec
from paho.mqtt import publish

from edgedyno.controller.claim import Claim, Heard, fleet_of
from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.link import LOOK_SECONDS
from edgedyno.core.messages import ControllerState
from edgedyno.core.topics import CONTROLLER_STATE
from tests.controller.service.conftest import make_service
from tests.controller.service.samples import message, result
from tests.controller.service.test_job_way import born, eventually, job_state, submit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedyno.controller.service import Service
    from edgedyno.controller.store.database import Database
    from tests.conftest import Mosquitto
    from tests.controller.service.standins import Board, ScriptedLaboratory


async def serves(http: httpx.AsyncClient) -> bool:
    """Tell whether a controller says that it serves boards."""
    return (await http.get("/healthz")).json()["broker"] is True


def config_of(folder: Path, mosquitto: Mosquitto) -> ControllerConfig:
    """Return the configuration of a controller with a database of its own."""
    return ControllerConfig(data_dir=str(folder), broker_port=mosquitto.port, listen_port=0)


def api_of(service: Service) -> httpx.AsyncClient:
    """Return a client of a service's API."""
    return httpx.AsyncClient(base_url=f"{service.url}/api/v1", trust_env=False)


async def test_the_second_database_stands_by_until_the_broker_is_cleared(
    tmp_path: Path, mosquitto: Mosquitto, laboratory: ScriptedLaboratory, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    first = make_service(config_of(tmp_path / "first", mosquitto), laboratory)
    second = make_service(config_of(tmp_path / "second", mosquitto), laboratory)
    async with first.running(), api_of(first) as one:
        await eventually(lambda: serves(one), "the first serves")
        await born(one, board)
        async with second.running(), api_of(second) as two:
            job = await submit(one)

            async def active() -> bool:
                return await job_state(one, job) == "active"

            await eventually(active, "build")
            answer = await asyncio.to_thread(board.next)
            await asyncio.to_thread(board.deliver, message(result(f"{job}.rpi4"), 1))
            assert (await asyncio.to_thread(board.update, answer, "SUCCEEDED")).error is None
            assert [ack.refused for ack in board.acks] == [[]]
            assert (await two.get("/boards")).json()["boards"] == []
            assert not await serves(two)
    second = make_service(config_of(tmp_path / "second", mosquitto), laboratory)
    async with second.running(), api_of(second) as two:
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert not await serves(two), "the first is away, not gone for ever"
        clear = partial(publish.single, CONTROLLER_STATE, None, qos=1, retain=True, port=mosquitto.port)
        await asyncio.to_thread(clear)
        await eventually(lambda: serves(two), "the second serves")
    async with first.running(), api_of(first) as one:
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert not await serves(one), "now the broker is the second's"
    config = msgspec.structs.replace(config_of(tmp_path / "first", mosquitto), take_over=True)
    first = make_service(config, laboratory)
    async with first.running(), api_of(first) as one:
        await eventually(lambda: serves(one), "the first has taken it over")


def word(fleet: str | None, *, online: bool = True, seniority_seconds: float = 0.0) -> ControllerState:
    """Return what a controller says."""
    return ControllerState(online=online, fleet=fleet, seniority_seconds=seniority_seconds)


def test_of_two_fleets_that_both_serve_the_younger_gives_way() -> None:
    old, young = Claim("b", lambda: 100.0), Claim("a", lambda: 5.0)
    old.hold()
    young.hold()
    assert old.hear(word("a", seniority_seconds=5.0)) == Heard(serve=True, answer=True)
    assert young.hear(word("b", seniority_seconds=100.0)) == Heard(serve=False)
    assert young.other == "b"


def test_one_that_has_not_served_gives_way_to_any() -> None:
    claim = Claim("a", lambda: 1000.0)
    assert claim.hear(word("b", online=False)) == Heard(serve=False)
    claim.cleared()
    assert claim.may_serve


def test_taking_over_is_from_one_that_is_offline_only() -> None:
    claim = Claim("a", lambda: 1.0, take_over=True)
    assert claim.hear(word("b", online=False)) == Heard(serve=True)
    assert claim.may_serve
    assert claim.hear(word("b", online=True)) == Heard(serve=False)
    assert claim.other == "b"


def test_another_fleets_farewell_does_not_end_service() -> None:
    claim = Claim("b", lambda: 1.0)
    claim.hold()
    assert claim.hear(word("a", online=False, seniority_seconds=9.0)) == Heard(serve=True, answer=True)


def test_replicas_and_older_controllers_are_no_other_fleet() -> None:
    claim = Claim("a", lambda: 1.0)
    claim.hold()
    assert claim.hear(word("a")) == Heard(serve=True, answer=False)
    assert claim.hear(word("a", online=False)) == Heard(serve=True, answer=True)
    assert claim.hear(word(None)) == Heard(serve=True, answer=False)


def test_a_database_keeps_its_fleet(database: Database) -> None:
    fleet = database.write_now(fleet_of)
    assert len(fleet) == 16
    assert database.write_now(fleet_of) == fleet
