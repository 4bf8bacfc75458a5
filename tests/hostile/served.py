"""A real controller in a thread of this process, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from queue import Queue
from typing import TYPE_CHECKING

from edgedyno.controller.config import ControllerConfig
from tests.controller.service.conftest import make_service
from tests.controller.service.standins import ScriptedLaboratory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Mosquitto


@contextmanager
def served(folder: Path, broker: Mosquitto) -> Iterator[str]:
    """Run a controller without tokens; give its URL."""
    config = ControllerConfig(
        data_dir=str(folder / "data"),
        broker_host=broker.host,
        broker_port=broker.port,
        listen_port=0,
        requests_per_second=1e6,
        requests_at_once=1e6,
    )
    told: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def main() -> None:
        stop = asyncio.Event()
        async with make_service(config, ScriptedLaboratory()).running() as running:
            told.put((running.url, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="controller")
    thread.start()
    url, loop, stop = told.get(timeout=60)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
