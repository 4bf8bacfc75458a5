"""Metrics of the fleet itself: what is live, what leaves when a board is gone, what counts, and what is bounded."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import httpx
import msgspec

from edgedyno.controller.exporter import MAX_READINGS
from edgedyno.controller.presence import HEARTBEAT_SECONDS, Presence
from edgedyno.core.messages import Telemetry
from tests.controller.service.samples import message, result
from tests.controller.service.standins import Board, Clock
from tests.controller.service.test_job_way import born, eventually, submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.controller.service import Service

LIVE = ("board_load", "board_temperature_celsius", "board_outbox_messages", "board_agent_uptime_seconds")


def beat(board: str, **fields: object) -> Telemetry:
    """Return a heartbeat."""
    made = Telemetry(board=board, session_epoch=1, uptime_seconds=5.0, load=0.5, outbox_depth=7)
    return msgspec.structs.replace(made, temperature_celsius={"cpu": 50.0}, **fields)


async def scrape(service: Service) -> str:
    """Return the metrics."""
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"{service.url}/metrics")).raise_for_status().text


def value(text: str, series: str) -> float | None:
    """Return one series' value; None when it is not there."""
    found = re.search(rf"^edgedyno_{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


async def until(service: Service, series: str, wanted: float | None) -> str:
    """Scrape until a series has a value, and return that scrape."""
    texts = [""]

    async def has() -> bool:
        texts[0] = await scrape(service)
        return value(texts[0], series) == wanted

    await eventually(has, f"{series} {wanted}")
    return texts[0]


async def test_a_board_that_is_gone_leaves_the_live_metrics_and_stays_listed(
    service: Service, http: httpx.AsyncClient, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    board.send("tele", beat("rpi4", outbox_bytes=4096, heartbeat_seconds=5.0), qos=0)
    text = await until(service, 'board_outbox_messages{board="rpi4"}', 7)
    assert value(text, 'board_outbox_bytes{board="rpi4"}') == 4096
    await asyncio.to_thread(board.vanish)
    text = await until(service, 'board_online{board="rpi4"}', 0)
    assert not [name for name in LIVE if f"edgedyno_{name}{{" in text]
    assert value(text, 'board_last_seen_seconds{board="rpi4"}') is not None
    listed = (await http.get("/boards")).json()["boards"]
    assert [(one["board"], one["online"]) for one in listed] == [("rpi4", False)]


def test_readings_are_live_for_two_heartbeats() -> None:
    clock = Clock()
    presence = Presence(clock)
    presence.take_telemetry(beat("quick", heartbeat_seconds=5.0))
    presence.take_telemetry(beat("old"))
    presence.take_telemetry(beat("liar", heartbeat_seconds=1e12))
    clock.seconds += 10
    assert presence.fresh().keys() == {"quick", "old", "liar"}
    clock.seconds += 1
    assert presence.fresh().keys() == {"old", "liar"}
    clock.seconds += 2 * HEARTBEAT_SECONDS
    assert presence.fresh().keys() == {"liar"}
    clock.seconds += 7200
    assert not presence.fresh()


async def test_what_comes_is_counted_by_what_became_of_it(
    service: Service, http: httpx.AsyncClient, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    job = await submit(http)
    execution = f"{job}.rpi4"
    answer = None
    while answer is None or answer.record is None:
        answer = await asyncio.to_thread(board.next)
    text = await scrape(service)
    assert value(text, 'leases{state="held"}') == 1
    first = message(result(execution, trial="t1"), 1)
    again = message(result(execution, trial="t1"), 2)
    unknown = message(result("other-000000.rpi4", trial="t1"), 3)
    await asyncio.to_thread(board.deliver, first, first, again, unknown)
    text = await scrape(service)
    assert value(text, "ingest_results_total") == 2
    assert value(text, "ingest_duplicates_total") == 1
    assert value(text, 'ingest_flagged_results_total{flag="repeated"}') == 1
    assert value(text, 'ingest_refusals_total{code="execution.unknown"}') == 1
    assert value(text, "ingest_lag_seconds_count") == 4
    assert (value(text, "database_write_seconds_count") or 0) > 1
    assert (value(text, "data_free_bytes") or 0) > 0


async def test_a_board_cannot_fill_prometheus(
    service: Service, http: httpx.AsyncClient, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    flood = {f"{'s' * 500}{number}": 1.0 for number in range(5000)}
    board.send("tele", msgspec.structs.replace(beat("rpi4"), temperature_celsius=flood), qos=0)
    text = await until(service, 'board_load{board="rpi4"}', 0.5)
    assert text.count("edgedyno_board_temperature_celsius{") <= MAX_READINGS
    assert max(len(line) for line in text.splitlines()) < 2000


async def test_why_a_board_refuses_work_is_shown(
    service: Service, http: httpx.AsyncClient, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    reason = "storage.full: 1 MB free in /var/lib/edgedyno, 64 MB are wanted (min_free)"
    board.send("state", msgspec.structs.replace(board.state(), refuses=reason), retain=True)
    await until(service, 'board_refuses_work{board="rpi4"}', 1)
    assert (await http.get("/boards/rpi4")).json()["refuses"] == reason
    board.send("state", board.state(), retain=True)
    await until(service, 'board_refuses_work{board="rpi4"}', 0)
