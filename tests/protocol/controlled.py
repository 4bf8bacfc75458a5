"""The real controller in a thread of its own: its lab alone is scripted, as nothing is measured here."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from edgedyno.controller.config import ControllerConfig
from edgedyno.controller.service import Service
from edgedyno.controller.store.database import Database
from tests.conftest import free_port, wait_until
from tests.controller.service.samples import IMAGE_BYTES, MODEL_BYTES, resolved_job, sha256
from tests.controller.service.standins import ScriptedLaboratory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedyno.core.manifest import ResolvedJob

# What the scripted lab says that it has built.
VARIANTS = tuple(f"onnx {precision} False".encode() for precision in ("fp32", "int8"))


class Controlled:
    """A service that a test starts, stops and starts again on the same data."""

    def __init__(self, folder: Path, port: int, **config: Any) -> None:
        self.config = ControllerConfig(
            **{
                "data_dir": str(folder / "controller"),
                "broker_port": port,
                "listen_port": free_port(),
                "lease_seconds": 30.0,
                **config,
            }
        )
        self.laboratory = ScriptedLaboratory()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self.service: Service | None = None
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{self.config.listen_port}/api/v1", trust_env=False, timeout=20
        )

    def start(self) -> None:
        """Start it and wait until it has the broker."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="controller")
        self._thread.start()
        assert ready.wait(120), "the controller did not start"
        wait_until(lambda: self.http.get("/healthz").status_code == 200, seconds=60, what="health")
        for content in (MODEL_BYTES, IMAGE_BYTES, *VARIANTS):
            self.http.put(f"/artifacts/{sha256(content)}", content=content).raise_for_status()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        service = Service(self.config, laboratory=self.laboratory, needs_reduce_range=lambda _: False)
        async with service.running() as self.service:
            ready.set()
            await self._end.wait()

    def stop(self) -> None:
        """Stop it as SIGTERM would."""
        if self._thread is not None and self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(30)
            assert not self._thread.is_alive()
            self._thread = None

    def close(self) -> None:
        """Stop it and its client."""
        self.stop()
        self.http.close()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Call the API; a refusal fails the test."""
        answer = self.http.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self, **changes: Any) -> str:
        """Submit a job and return its id; `changes` go to the sample job or are a ResolvedJob as `job`."""
        job: ResolvedJob = changes.pop("job", None) or resolved_job(**changes)
        return str(self.call("POST", "/jobs", content=msgspec.json.encode(job))["job"])

    def execution(self, job: str) -> Any:
        """Return the record of a job's only execution."""
        (found,) = self.call("GET", f"/jobs/{job}")["executions"]
        return found

    def state(self, job: str) -> str:
        """Return the state of a job's only execution."""
        return str(self.execution(job)["state"])

    def wait_state(self, job: str, *states: str, seconds: float = 20.0) -> Any:
        """Wait until a job's only execution is in one of these states, and return its record."""
        wait_until(lambda: self.state(job) in states, seconds=seconds, what=f"{job} as {' or '.join(states)}")
        return self.execution(job)

    def results(self, job: str) -> list[Any]:
        """Return a job's counted results."""
        found: list[Any] = self.call("GET", "/results", params={"job": job})["results"]
        return found

    def read(self, query: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Look into the store through a connection of its own."""
        database = Database(self.config.url)
        try:
            return asyncio.run(database.read(query, *arguments, **options))
        finally:
            database.close()
