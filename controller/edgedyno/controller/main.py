"""What `edgedyno controller` runs: the service until a signal, migrations, backups. Prints nothing."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from edgedyno.controller.notify import notify, watchdog_seconds
from edgedyno.controller.service import Service
from edgedyno.controller.store.database import Database, check_reachable, make_engine
from edgedyno.controller.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from edgedyno.controller.config import ControllerConfig

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)
# The broker keeps 20 messages in flight (mosquitto's max_inflight_messages). With Python's 5 ms the MQTT thread
# waits that long for its turn beside the store's, once for every 20: benchmarks/ingest.py shows it.
SWITCH_SECONDS = 0.0005
# glibc gives threads arenas of their own, up to eight for each core, and what one frees the others do not get:
# at 200 results a second the service grew by 140 MB an hour, with two arenas by 27 (benchmarks/fleet_long.py).
ARENAS = 2
_M_ARENA_MAX = -8  # malloc.h


def set_up_process() -> None:
    """Set what holds for the whole process, before it has threads."""
    sys.setswitchinterval(SWITCH_SECONDS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none
        mallopt(_M_ARENA_MAX, ARENAS)


def run_service(config: ControllerConfig, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Run the controller until SIGTERM or SIGINT; `on_ready` is told its URL.

    Raises ConfigError or RetryableError when it cannot start.
    """
    set_up_process()
    asyncio.run(serve(Service(config), on_ready))


async def serve(service: Service, on_ready: Callable[[str], None] | None = None) -> None:
    """Run a service until a signal comes or a part of it fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with service.running():
        notify("READY=1")
        if on_ready is not None:
            on_ready(service.url)
        tasks = [asyncio.create_task(work) for work in (stop.wait(), service.wait(), _stay_alive())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            notify("STOPPING=1")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


async def _stay_alive() -> None:
    """Give systemd signs of life from the event loop, which is what must not hang."""
    every_seconds = watchdog_seconds()
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(every_seconds or 3600.0)


def in_database(
    config: ControllerConfig,
    function: Callable[Concatenate[Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run `function` in a transaction, beside a running controller or without one; the tables are made if need be."""
    Path(config.data_dir).mkdir(parents=True, exist_ok=True)
    database = Database(config.url)
    with contextlib.ExitStack() as stack:
        stack.callback(database.close)
        check_reachable(database.engine)
        migrate(database.engine)
        return database.write_now(function, *args, **kwargs)


def migrate_database(config: ControllerConfig) -> str:
    """Bring the database to this version's tables and return the revision reached."""
    engine = make_engine(config.url, pooled=False)
    with contextlib.ExitStack() as stack:
        stack.callback(engine.dispose)
        check_reachable(engine)
        return migrate(engine)
