"""A controller's whole surroundings for many simulated boards: a real broker, the service in a process of its own.

Its lab is scripted (variants exist at once, scores are constants), so that what is seen is the fleet's way and not
the time that builds take.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import psutil

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.lab.files import ContentStore
from edgedyno.core.manifest import Image
from edgedyno.core.result import Result
from tests.conftest import ROOT, Mosquitto, free_port, listens, wait_until
from tests.controller.migrations.dumps import read_dump, released
from tests.controller.service.samples import MODEL_BYTES, capabilities, ref, resolved_job
from tests.simulated.board import Plan, SimulatedBoard, Told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGES = 17  # as many as the bundled sample has
STEP_SECONDS = 0.05


def real_record() -> Result:
    """Return a result that a real run gave, from the newest released database."""
    database = sqlite3.connect(":memory:")
    database.executescript(read_dump(released()[-1], "sqlite"))
    query = "SELECT record FROM results WHERE board = 'bench' ORDER BY length(record) DESC"
    record = database.execute(query).fetchone()[0]
    database.close()
    return msgspec.json.decode(record, type=Result)


class SimulatedFleet:
    """Use it as a context manager; `run` brings the boards to life on the present loop."""

    def __init__(self, folder: Path, boards: int, *, plan: Plan | None = None) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder, *deployed_limits())
        self.config = ControllerConfig(
            data_dir=str(folder / "data"), broker_port=self.broker.port, listen_port=free_port()
        )
        self.url = f"http://127.0.0.1:{self.config.listen_port}"
        self.plan = plan or Plan(record=real_record(), capabilities=capabilities())
        self.told = Told()
        self.boards = [
            SimulatedBoard(self.broker.port, f"board{number:04}", self.plan, self.told)
            for number in range(boards)
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> SimulatedFleet:  # noqa: PYI034 nobody inherits from it
        store = ContentStore(self.config.artifacts_dir)
        for data in (MODEL_BYTES, *(_image(number) for number in range(IMAGES))):
            store.add_bytes(data)
        self.broker.start()
        self.start_controller()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_controller()
        self.broker.kill()

    def start_controller(self) -> None:
        """Start the service and wait until it answers."""
        file = self.folder / "controller.json"
        file.write_bytes(msgspec.json.encode(self.config))
        with (self.folder / "controller.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.simulated.controller", str(file)], cwd=ROOT, stderr=log
            )
        wait_until(lambda: listens(self.config.listen_port), seconds=60, what="the controller")

    def stop_controller(self) -> None:
        """End the service politely."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill_controller(self) -> None:
        """End the service as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def controller(self) -> psutil.Process:
        """The service's process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    async def connect(self, *, seconds: float = 120.0) -> None:
        """Bring every board to life and wait until the controller has all of them online."""
        self._tasks = [asyncio.create_task(board.run(), name=board.board) for board in self.boards]
        await self.until(lambda: self.connected == len(self.boards), seconds=seconds, what="connections")
        await self.all_online(seconds=seconds)

    async def all_online(self, *, seconds: float) -> None:
        """Wait until the controller has every board online."""
        deadline = time.monotonic() + seconds
        while (online := await self.online()) < len(self.boards):
            assert time.monotonic() < deadline, f"the controller has {online} boards online"
            await asyncio.sleep(STEP_SECONDS)

    async def leave(self) -> None:
        """End every board."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, check: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Wait until something of the boards is true."""
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
            await asyncio.sleep(STEP_SECONDS)

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """Ask the controller's API."""
        async with httpx.AsyncClient(base_url=f"{self.url}/api/v1", trust_env=False, timeout=60) as http:
            return (await http.request(method, path, **options)).raise_for_status().json()

    async def metric(self, name: str) -> dict[str, float]:
        """Return a metric's samples by their labels as written."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=60) as http:
            text = (await http.get("/metrics")).raise_for_status().text
        rows = (
            line.rpartition(" ") for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))
        )
        return {row[0].removeprefix(name): float(row[2]) for row in rows}

    async def online(self) -> int:
        """Return how many boards the controller's database has online."""
        return int(await asyncio.to_thread(self.count, "SELECT count(*) FROM boards WHERE online"))

    def count(self, query: str) -> float:
        """Return one number from the controller's database, read beside it."""
        path = self.config.url.removeprefix("sqlite:///")
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return float(database.execute(query).fetchone()[0])
        finally:
            database.close()

    async def submit(self, name: str = "fleet") -> str:
        """Submit a job for every board and return its id."""
        job = resolved_job(name)
        images = [Image(number, ref(_image(number), f"{number}.jpg")) for number in range(IMAGES)]
        body = msgspec.json.encode(msgspec.structs.replace(job, images=images))
        return str((await self.call("POST", "/jobs", content=body))["job"])

    @property
    def connected(self) -> int:
        """Boards that the broker has accepted."""
        return sum(board.client.connected for board in self.boards)

    @property
    def working(self) -> int:
        """Boards that have an execution."""
        return sum(board.work is not None for board in self.boards)

    @property
    def waiting(self) -> int:
        """Results in all outboxes."""
        return sum(len(board.outbox) for board in self.boards)


def deployed_limits() -> list[str]:
    """Return the limits of the broker's configuration that is shipped for fleets."""
    lines = (ROOT / "deploy" / "mosquitto" / "mosquitto.conf").read_text().splitlines()
    return [line for line in lines if line.startswith("max_")]


def _image(number: int) -> bytes:
    return b"image %d" % number
