"""What goes wrong between boards, broker and controller, on real ones: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.service import Service
from edgedyno.controller.store import executions, jobs
from edgedyno.controller.store.boards import add_board
from edgedyno.controller.store.database import Database
from edgedyno.controller.store.migrate import migrate
from edgedyno.controller.store.results import read_results
from edgedyno.core.messages import Next, Telemetry, encode
from tests.conftest import Mosquitto, wait_until
from tests.controller.service.conftest import make_service
from tests.controller.service.samples import message, resolved_job, result
from tests.controller.service.standins import Board, ScriptedLaboratory
from tests.controller.service.test_job_way import born, eventually, job_state, submit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.controller.service.postgresql import PostgreSql

JOB = "sample-000000"
EXECUTION = f"{JOB}.rpi4"


def fill(database: Database) -> None:
    """Put a board into the store with an execution that runs."""

    def write(connection: object) -> None:
        jobs.insert_job(connection, JOB, resolved_job(), reduce_ranges={False})  # type: ignore[arg-type]
        add_board(connection, "rpi4", 0.0)  # type: ignore[arg-type]
        executions.insert_execution(
            connection,  # type: ignore[arg-type]
            job=JOB,
            board="rpi4",
            reduce_range=False,
            now_seconds=0.0,
        )
        executions.change(connection, EXECUTION, state="IN_PROGRESS")  # type: ignore[arg-type]

    database.write_now(write)


async def test_a_lost_ack_is_made_good_by_sending_again(
    http: httpx.AsyncClient, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    job = await submit(http)
    one = message(result(f"{job}.rpi4"), 1)
    await asyncio.to_thread(board.deliver, one)
    board.acks.clear()
    await asyncio.to_thread(board.deliver, one)
    assert board.acks[-1].up_to == 1
    assert len((await http.get("/results", params={"job": job})).json()["results"]) == 1
    assert "edgedyno_ingest_duplicates_total 1.0" in (await http.get("/metrics")).text


async def test_a_broker_that_forgets_everything_is_taught_again(
    http: httpx.AsyncClient, make_board: Callable[..., Board], mosquitto: Mosquitto
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    job = await submit(http)

    async def rung() -> bool:
        return bool(board.desired) and board.desired[-1].execution == f"{job}.rpi4"

    await eventually(rung, "doorbell")
    mosquitto.kill()

    async def broker_missed() -> bool:
        return (await http.get("/healthz")).status_code == 503

    await eventually(broker_missed, "health of a controller without a broker")
    board.desired.clear()
    await asyncio.to_thread(mosquitto.start)
    await eventually(rung, "doorbell after the broker's return")
    answer = await asyncio.to_thread(board.next)
    assert answer.manifest is not None
    ack = await asyncio.to_thread(board.deliver, message(result(f"{job}.rpi4"), 1))
    assert ack.up_to == 1


async def test_nonsense_on_every_topic_changes_nothing(
    http: httpx.AsyncClient, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    for leaf in ("result", "state", "caps", "tele", "req/next", "req/update", "req/unknown", "req/get/more"):
        for nonsense in (b"", b"{", b"\x00\xff", b"[" * 20_000, b'{"type":"next"}', b"x" * 100_000):
            board.send(leaf, nonsense)
    foreign = Telemetry(board="other", session_epoch=1, uptime_seconds=1.0)
    board.send("tele", foreign)
    nul = encode(board.state()).replace(b'"boot_id":"b"', b'"boot_id":"\\u0000"')
    board.send("state", nul)
    answer = await asyncio.to_thread(board.next)
    assert answer.record is None
    assert (await http.get("/boards/rpi4")).json()["capabilities"] is not None
    assert (await http.get("/boards/other")).status_code == 404


async def test_a_last_will_makes_a_board_offline_and_a_new_birth_online(
    http: httpx.AsyncClient, make_board: Callable[..., Board], mosquitto: Mosquitto
) -> None:
    lost = Board(mosquitto.port, "rpi4")
    await born(http, lost)

    async def online() -> bool:
        return bool((await http.get("/boards/rpi4")).json()["online"])

    async def offline() -> bool:
        return not await online()

    await eventually(online, "birth")
    await asyncio.to_thread(lost.vanish)
    await eventually(offline, "last will")
    again = await asyncio.to_thread(lambda: make_board("rpi4", session_epoch=2))
    await born(http, again)
    await eventually(online, "second birth")
    again.send("state", msgspec.structs.replace(again.state(online=False), session_epoch=1))
    await asyncio.to_thread(again.next)
    assert await online(), "the older session's will is ignored"


async def test_live_readings_are_shown_while_they_are_fresh(
    http: httpx.AsyncClient, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    await born(http, board)
    board.send(
        "tele",
        Telemetry(
            board="rpi4", session_epoch=1, uptime_seconds=5.0, temperature_celsius={"cpu": 61.5}, rss_bytes=7
        ),
        qos=0,
    )

    async def shown() -> bool:
        text = (await http.get("/metrics")).text
        return 'edgedyno_board_temperature_celsius{board="rpi4",sensor="cpu"} 61.5' in text

    await eventually(shown, "temperature")


async def test_a_job_goes_on_after_the_controller_was_stopped_and_started(
    config: ControllerConfig, laboratory: ScriptedLaboratory, make_board: Callable[..., Board]
) -> None:
    board = await asyncio.to_thread(make_board)
    async with (
        make_service(config, laboratory).running() as first,
        httpx.AsyncClient(base_url=f"{first.url}/api/v1", trust_env=False) as http,
    ):
        await born(http, board)
        job = await submit(http)

        async def active() -> bool:
            return await job_state(http, job) == "active"

        await eventually(active, "build")
        answer = await asyncio.to_thread(board.next)
    async with (
        make_service(config, laboratory).running() as second,
        httpx.AsyncClient(base_url=f"{second.url}/api/v1", trust_env=False) as http,
    ):

        async def connected() -> bool:
            return (await http.get("/healthz")).status_code == 200

        await eventually(connected, "second controller")
        await asyncio.to_thread(board.deliver, message(result(f"{job}.rpi4"), 1))
        assert (await asyncio.to_thread(board.update, answer, "SUCCEEDED")).error is None

        async def succeeded() -> bool:
            return await job_state(http, job) == "succeeded"

        await eventually(succeeded, "end of the job")


async def test_two_controllers_cannot_share_a_folder(
    tmp_path: Path, mosquitto: Mosquitto, laboratory: ScriptedLaboratory
) -> None:
    from edgedyno.core.errors import ConfigError

    config = ControllerConfig(data_dir=str(tmp_path / "data"), broker_port=mosquitto.port, listen_port=0)
    async with Service(config, laboratory=laboratory).running():
        with pytest.raises(ConfigError, match="in use by another controller"):
            async with Service(config, laboratory=laboratory).running():
                pass


async def test_replicas_share_the_work_and_take_each_message_once(
    tmp_path: Path,
    mosquitto: Mosquitto,
    postgresql: PostgreSql,
    laboratory: ScriptedLaboratory,
    make_board: Callable[..., Board],
) -> None:
    config = ControllerConfig(
        data_dir=str(tmp_path / "data"),
        database_url=postgresql.url(),
        broker_port=mosquitto.port,
        listen_port=0,
        shared_group="controllers",
    )
    board = await asyncio.to_thread(make_board)
    async with (
        make_service(config, laboratory).running() as first,
        make_service(config, laboratory).running() as second,
        httpx.AsyncClient(base_url=f"{first.url}/api/v1", trust_env=False) as one,
        httpx.AsyncClient(base_url=f"{second.url}/api/v1", trust_env=False) as two,
    ):
        await born(one, board)
        await born(two, board)
        job = await submit(two)

        async def active() -> bool:
            return await job_state(one, job) == "active"

        await eventually(active, "build")
        answer = await asyncio.to_thread(board.next)
        sent = [message(result(f"{job}.rpi4", trial=f"t{seq}"), seq) for seq in range(1, 201)]
        await asyncio.to_thread(board.deliver, *sent)
        assert (await asyncio.to_thread(board.update, answer, "SUCCEEDED")).error is None

        async def succeeded() -> bool:
            return await job_state(two, job) == "succeeded"

        await eventually(succeeded, "end of the job")
        results = (await one.get("/results", params={"job": job})).json()["results"]
        assert len(results) == len(sent)
        texts = [(await http.get("/metrics")).text for http in (one, two)]
        assert sum("edgedyno_leader 1.0" in text for text in texts) == 1
        shares = [text.partition("\nedgedyno_ingest_results_total ")[2].partition("\n")[0] for text in texts]
        assert sum(float(share) for share in shares) == len(sent)
        assert all(float(share) > 0 for share in shares), "both took part"


_RUN = """
import sys
from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.main import run_service
if sys.argv[3] == "die":
    import os, signal
    def die(_link, _board, leaf, _message):
        if leaf == "ack":
            os.kill(os.getpid(), signal.SIGKILL)
    from edgedyno.controller.link import Link
    Link.send = die
run_service(ControllerConfig(data_dir=sys.argv[1], broker_port=int(sys.argv[2]), listen_port=0))
"""


def start_controller(folder: Path, port: int, how: str) -> subprocess.Popen[bytes]:
    """Start a controller process that lives, or that is killed between its first commit and its first ack."""
    return subprocess.Popen([sys.executable, "-c", _RUN, str(folder), str(port), how])


def test_a_controller_killed_between_commit_and_ack_counts_each_result_once(
    tmp_path: Path, mosquitto: Mosquitto, make_board: Callable[..., Board]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    database = Database(ControllerConfig(data_dir=str(folder)).url)
    migrate(database.engine)
    fill(database)
    board = make_board()
    sent = [message(result(EXECUTION, trial=f"t{seq}"), seq) for seq in range(1, 11)]
    dying = start_controller(folder, mosquitto.port, "die")
    deadline = time.monotonic() + 30
    while dying.poll() is None and time.monotonic() < deadline:
        for one in sent:
            board.send("result", one)
        time.sleep(0.2)
    assert dying.wait(1) == -signal.SIGKILL
    committed = database.read_now(read_results, execution=EXECUTION)
    assert committed, "it was killed after a commit"
    assert board.acks == []
    living = start_controller(folder, mosquitto.port, "live")
    try:
        deadline = time.monotonic() + 30
        while not any(ack.up_to == len(sent) for ack in board.acks) and time.monotonic() < deadline:
            for one in sent:
                board.send("result", one)
            time.sleep(0.2)
        stored = database.read_now(read_results, execution=EXECUTION, counted_only=False)
        assert sorted(one.record.trial for one in stored) == sorted(one.record.trial for one in sent)
        assert all(one.counted for one in stored)
    finally:
        living.terminate()
        assert living.wait(20) == 0, "SIGTERM ends it cleanly"
        database.close()


def test_boards_learn_where_the_controller_is_and_that_it_went(
    tmp_path: Path, mosquitto: Mosquitto, make_board: Callable[..., Board]
) -> None:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    from edgedyno.core.messages import ControllerState, decode
    from edgedyno.core.topics import CONTROLLER_STATE

    seen: list[ControllerState] = []
    watcher = Client(CallbackAPIVersion.VERSION2)
    watcher.on_message = lambda _client, _userdata, m: seen.append(decode(bytes(m.payload), ControllerState))
    watcher.on_connect = lambda client, *_: client.subscribe(CONTROLLER_STATE, 1)
    watcher.connect("127.0.0.1", mosquitto.port)
    watcher.loop_start()
    process = start_controller(tmp_path / "data", mosquitto.port, "live")
    try:
        wait_until(lambda: seen and seen[-1].online, seconds=60, what="controller online")
        assert seen[-1].api_url is not None
        assert httpx.get(f"{seen[-1].api_url}/healthz", trust_env=False).json() == {
            "database": True,
            "broker": True,
        }
        process.kill()
        wait_until(lambda: not seen[-1].online, what="last will")
    finally:
        process.kill()
        process.wait()
        watcher.disconnect()
        watcher.loop_stop()


def test_requests_carry_their_own_type() -> None:
    from edgedyno.controller.requests import open_request
    from edgedyno.core.errors import ConfigError

    with pytest.raises(ConfigError, match="expected one of next, get, update, renew"):
        open_request("dance", b"{}")
    with pytest.raises(ConfigError, match="expected Get"):
        open_request("get", encode(Next(request_id="1")))
