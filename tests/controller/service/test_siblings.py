"""Boards of one type on a real broker and service: the slow one is in the API, the metrics and the command's words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from edgedyno.cli.siblings import compare_boards
from edgedyno.controller.lab.siblings import Comparison
from edgedyno.core.result import Conditions, LatencySummary
from tests.controller.service.samples import message, result
from tests.controller.service.test_job_way import born, eventually, submit

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    import pytest

    from edgedyno.controller.service import Service
    from tests.controller.service.standins import Board

SECONDS = {"pi-a": 0.0120, "pi-b": 0.01201, "pi-c": 0.0150}


async def run(board: Board, seconds: float, celsius: float) -> None:
    """Have a board take its execution and deliver one result."""

    async def rung() -> bool:
        return bool(board.desired) and board.desired[-1].execution is not None

    await eventually(rung, "doorbell")
    answer = await asyncio.to_thread(board.next)
    assert answer.record is not None
    latency = LatencySummary(500, seconds * 0.9, seconds, seconds, seconds * 0.997, seconds * 1.003)
    conditions = Conditions(temperature_celsius={"cpu": celsius}, throttled=False, kernel="6.6.31")
    changes: dict[str, Any] = {
        "latency_seconds": latency,
        "conditions": conditions,
        "energy_joules_per_inference": None,
        "power_watts": None,
    }
    made = result(answer.record.execution, **changes)
    ack = await asyncio.to_thread(board.deliver, message(made, 1))
    assert ack.refused == []
    await asyncio.to_thread(board.update, answer, "SUCCEEDED")


async def test_the_slow_board_is_named(
    http: httpx.AsyncClient,
    service: Service,
    make_board: Callable[..., Board],
    capsys: pytest.CaptureFixture[str],
) -> None:
    boards = [await asyncio.to_thread(make_board, name) for name in SECONDS]
    for board in boards:
        await born(http, board)
    job = await submit(http)
    for board in boards:
        await run(board, SECONDS[board.name], 82.0 if board.name == "pi-c" else 55.0)

    async def stored() -> bool:
        return len((await http.get(f"/results?job={job}")).json()["results"]) == len(SECONDS)

    await eventually(stored, "results")
    for path in (f"/siblings?job={job}", "/siblings"):
        found = msgspec.convert((await http.get(path)).json(), Comparison)
        assert {(each.board, each.quantity) for each in found.outliers} == {
            ("pi-c", "latency"),
            ("pi-c", "temperature"),
        }
        assert found.compared == list(SECONDS)
    text = (await http.get("/metrics")).text
    assert 'edgedyno_board_outlier{board="pi-c",quantity="latency"} 1.0' in text
    assert 'edgedyno_board_outlier{board="pi-a",quantity="latency"} 0.0' in text
    await asyncio.to_thread(compare_boards, job, url=service.url, as_json=False)
    said = capsys.readouterr().out
    assert "pi-c is 24." in said or "pi-c is 25." in said
    assert "slower than its 2 siblings" in " ".join(said.split())
    assert "differs: temperature 82 °C, siblings 55 °C" in said


async def test_errors_of_comparing(http: httpx.AsyncClient) -> None:
    answer = await http.get("/siblings?job=none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job.unknown")
    answer = await http.get("/siblings?board=x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "request.invalid")
    found = (await http.get("/siblings")).json()
    assert (found["outliers"], found["compared"]) == ([], [])
