"""The controller's disk is full, for real: nothing is acknowledged, callers are told why, and it goes on by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from edgedyno.controller.config import ControllerConfig
from tests.chaos.fleet.disks import Disk, mounted
from tests.controller.service.conftest import make_service
from tests.controller.service.samples import message, result
from tests.controller.service.standins import Board, ScriptedLaboratory
from tests.controller.service.test_job_way import born, eventually, submit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Mosquitto


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small disk where the controller keeps its data."""
    with mounted(tmp_path / "data", 80) as disk:
        yield disk


async def test_results_wait_and_callers_are_told(
    disk: Disk, mosquitto: Mosquitto, make_board: Callable[..., Board]
) -> None:
    config = ControllerConfig(data_dir=str(disk.folder), broker_port=mosquitto.port, listen_port=0)
    async with (
        make_service(config, ScriptedLaboratory()).running() as service,
        httpx.AsyncClient(base_url=f"{service.url}/api/v1", trust_env=False, timeout=30) as http,
    ):
        board = await asyncio.to_thread(make_board)
        await born(http, board)
        job = await submit(http)
        answer = None
        while answer is None or answer.record is None:
            answer = await asyncio.to_thread(board.next)
        disk.fill()
        big = [
            message(result(f"{job}.rpi4", trial=f"t{n}", latency_seconds_reason="x" * 60_000), n)
            for n in range(1, 101)
        ]
        for one in big:
            await asyncio.to_thread(board.send, "result", one)

        async def refused() -> bool:
            asked = await http.patch("/boards/rpi4", json={"labels": {"note": "y" * 60}})
            return asked.status_code == 507 and asked.json()["error"]["code"] == "disk.full"

        await eventually(refused, "a 507")
        assert not any(ack.up_to >= 100 for ack in board.acks)
        upload = await http.put(f"/artifacts/{'0' * 64}", content=b"x")
        assert (upload.status_code, upload.json()["error"]["code"]) == (507, "disk.full")
        disk.free()
        await asyncio.to_thread(board.wait_acknowledged, "e1", 100)
        found = (await http.get("/results", params={"job": job})).json()["results"]
        assert len(found) == 100
