"""Opens the store, makes what works on it, and serves HTTP. Starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from edgedyno.controller.api.app import make_app
from edgedyno.controller.api.holdings import Holdings
from edgedyno.controller.api.parts import Parts
from edgedyno.controller.claim import Claim, fleet_of
from edgedyno.controller.clock import FleetClock, wall_clock
from edgedyno.controller.exporter import FleetCollector
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.laboratory import ChildLaboratory, Laboratory
from edgedyno.controller.leadership import DataDirLock
from edgedyno.controller.security.board_rights import BoardRights
from edgedyno.controller.security.exposure import check_exposure
from edgedyno.controller.security.keeper import Keeper, api_names
from edgedyno.controller.security.signing import Signer, keys_to_pin, open_signer
from edgedyno.controller.security.tokens import TokenBook
from edgedyno.controller.server import HttpServer, is_loopback, listen, url_of
from edgedyno.controller.snapshot import SnapshotTaker
from edgedyno.controller.store.database import Database, check_reachable
from edgedyno.controller.store.migrate import migrate
from edgedyno.controller.works import Works
from edgedyno.core.errors import ConfigError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable

    from edgedyno.controller.config import ControllerConfig
    from edgedyno.controller.submission import ReduceRange
    from edgedyno.core.board import RuntimeInfo
    from edgedyno.core.manifest import ResolvedJob

log = logging.getLogger(__name__)


class Service:
    """A controller; what it is made of exists while it runs."""

    def __init__(
        self,
        config: ControllerConfig,
        *,
        laboratory: Laboratory | None = None,
        needs_reduce_range: ReduceRange | None = None,
        utc: Callable[[], dt.datetime] = wall_clock,
    ) -> None:
        self._config = config
        self._laboratory = laboratory or ChildLaboratory(config.artifacts_dir, builders=config.builders)
        self._needs_reduce_range = needs_reduce_range or _needs_reduce_range
        self._utc = utc
        self._tasks: list[asyncio.Task[None]] = []
        self.keeper: Keeper | None = None
        """Of certificates, where TLS is configured; known while the service runs."""
        self._loopback = False
        self._signer: Signer
        self.url = ""
        """Where the HTTP API is, for boards and people; known while the service runs."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Service]:
        """Run until the block ends. Raises ConfigError or RetryableError when it cannot start."""
        async with AsyncExitStack() as stack:
            database = await asyncio.to_thread(self._open_database, stack)
            listener = listen(self._config.listen_host, self._config.listen_port)
            stack.callback(listener.close)
            self._signer = await asyncio.to_thread(open_signer, self._config.signing_folder)
            await database.read(check_exposure, self._config, listener)
            self._loopback = is_loopback(listener)
            self.url = self._config.public_url or url_of(
                listener, scheme="https" if self._config.tls else "http"
            )
            keeper = self.keeper = await asyncio.to_thread(self._open_keeper, database)
            server = HttpServer(
                listener,
                max_connections=self._config.max_connections,
                context=keeper.server_context if keeper else None,
            )
            if keeper is not None:
                keeper.watch(server.connections)
            if not self._config.tls and not is_loopback(listener):
                log.warning(
                    "the HTTP API is open to the network at %s without TLS: whoever listens there reads tokens and "
                    "results; set `tls: true`, or listen on 127.0.0.1 behind a proxy that speaks TLS",
                    self.url,
                )
            await self._start(stack, database, server, keeper)
            log.info("controller at %s", self.url)
            yield self
            log.info("controller stops")

    async def wait(self) -> None:
        """Wait until a part fails, and raise what it failed with."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def _wanted_formats(self, resolved: ResolvedJob, runtimes: list[RuntimeInfo]) -> list[str]:
        from edgedyno.controller.lab.variants import wanted_formats

        return wanted_formats(resolved.spec.sweep, runtimes, self._config.builders.keys(), resolved.prebuilt)

    def _open_database(self, stack: AsyncExitStack) -> Database:
        folder = Path(self._config.data_dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"data_dir: {folder}: {error.strerror}", code="config.data_dir") from error
        database = Database(self._config.url)
        stack.callback(database.close)
        if database.is_sqlite:
            stack.callback(DataDirLock(folder).release)
        check_reachable(database.engine)
        migrate(database.engine)
        return database

    def _open_keeper(self, database: Database) -> Keeper | None:
        if not (self._config.tls or self._config.broker_tls):
            return None
        keeper = Keeper(self._config, database)
        keeper.prepare(api_names(self._config, self.url))
        return keeper

    async def _start(
        self, stack: AsyncExitStack, database: Database, server: HttpServer, keeper: Keeper | None
    ) -> None:
        config = self._config
        clock = FleetClock(utc=self._utc)
        await database.read(clock.load)
        store = ContentStore(config.artifacts_dir)
        await asyncio.to_thread(store.clear_incoming)
        works = Works(
            config,
            database,
            self._laboratory,
            clock=clock,
            claim=Claim(await database.write(fleet_of), clock.now, take_over=config.take_over),
            keeper=keeper,
            url=self.url,
            sign=self._signer.signed,
            needs_reduce_range=self._needs_reduce_range,
            wanted_formats=self._wanted_formats,
        )
        stack.push_async_callback(self._laboratory.close)
        app = make_app(self._parts(works, store, keeper))
        self._tasks = [*works.begin(), asyncio.create_task(server.run(app), name="http")]
        if keeper is not None:
            self._tasks.append(asyncio.create_task(keeper.run(), name="keeper"))
        # Undone from below: HTTP ends first, boards are told, what came is still stored, then the rest stops.
        stack.push_async_callback(_cancel, self._tasks)
        stack.push_async_callback(asyncio.to_thread, works.link.stop)
        stack.push_async_callback(server.stop)
        works.link.start()

    def _parts(self, works: Works, store: ContentStore, keeper: Keeper | None) -> Parts:
        """Return what the API works with."""
        config = self._config
        collector = FleetCollector()
        registry = CollectorRegistry()
        registry.register(collector)
        return Parts(
            config=config,
            database=works.database,
            store=store,
            scheduler=works.scheduler,
            doorbell=works.doorbell,
            laboratory=self._laboratory,
            clock=works.clock,
            presence=works.presence,
            registry=registry,
            collector=collector,
            snapshots=SnapshotTaker(
                works.clock, works.presence, works.state, certificates=keeper.seconds_left if keeper else None
            ),
            mqtt_connected=lambda: works.link.connected,
            board_rights=BoardRights(max_unnamed_bytes=config.max_unnamed_bytes),
            url=self.url,
            keeper=keeper,
            forget=works.link.forget,
            tokens=TokenBook(works.database),
            holdings=Holdings(),
            loopback=self._loopback,
            signing_keys=lambda: keys_to_pin(self._signer, config.signing_folder),
        )


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("a part of the controller failed", exc_info=outcome)


def _needs_reduce_range(features: list[str]) -> bool:
    from edgedyno.controller.lab.variants import needs_reduce_range

    return bool(needs_reduce_range(features))
