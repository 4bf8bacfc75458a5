"""What serves the boards, wired together: link, inbox, reception, scheduler, doorbell. Knows no HTTP."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from edgedyno.controller.doorbell import Doorbell
from edgedyno.controller.inbox import Inbox
from edgedyno.controller.link import Link
from edgedyno.controller.presence import Presence
from edgedyno.controller.reception import Reception, Step
from edgedyno.controller.rollout.moment import moment_of
from edgedyno.controller.scheduler import Scheduler
from edgedyno.controller.service_metrics import ServiceState

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.controller.claim import Claim
    from edgedyno.controller.clock import FleetClock
    from edgedyno.controller.config import ControllerConfig
    from edgedyno.controller.laboratory import Laboratory
    from edgedyno.controller.security.keeper import Keeper
    from edgedyno.controller.store.database import Database
    from edgedyno.controller.submission import ReduceRange, WantedFormats
    from edgedyno.core.messages import Response


class Works:
    """The parts of one running controller, made on its event loop."""

    def __init__(
        self,
        config: ControllerConfig,
        database: Database,
        laboratory: Laboratory,
        *,
        clock: FleetClock,
        claim: Claim,
        keeper: Keeper | None,
        url: str,
        sign: Callable[[str, Response], Response],
        needs_reduce_range: ReduceRange,
        wanted_formats: WantedFormats,
    ) -> None:
        """Make them; nothing runs before `begin`, and nothing connects before `link.start`."""
        self._config = config
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self.database = database
        self.clock = clock
        self.presence = Presence(clock.now)
        self._inbox = Inbox(config.inbox_messages)
        self.link = Link(
            config,
            self._inbox,
            api_url=url,
            claim=claim,
            # paho calls from its own thread.
            on_connected=lambda: self._loop.call_soon_threadsafe(self._broker_came),
            tls=keeper.broker_context if keeper else None,
        )
        self.doorbell = Doorbell(database, self.link.send, clock.now, lambda: moment_of(clock, self.presence))
        self.scheduler = Scheduler(
            database,
            laboratory,
            clock,
            self.presence,
            self.doorbell.ring,
            needs_reduce_range=needs_reduce_range,
            wanted_formats=wanted_formats,
            cancel_seconds=config.cancel_seconds,
        )
        self._reception = Reception(
            database,
            self._inbox,
            clock,
            self.presence,
            self.link.send,
            lease_seconds=config.lease_seconds,
            sign=sign,
        )

    def begin(self) -> list[asyncio.Task[None]]:
        """Have everything but the link run, until the tasks are cancelled."""
        return [
            asyncio.create_task(self._reception.run(self._taken), name="reception"),
            asyncio.create_task(self.scheduler.run(), name="scheduler"),
            asyncio.create_task(self.doorbell.run(), name="doorbell"),
        ]

    def state(self) -> ServiceState:
        """Return how the controller itself does."""
        return ServiceState(
            tally=self._reception.tally,
            inbox_depth=self._inbox.depth,
            inbox_dropped=self._inbox.dropped,
            mqtt_connected=self.link.connected,
            leads=self.scheduler.leads,
            builds=self.scheduler.builds,
            build_seconds_sum=self.scheduler.build_seconds,
            write_seconds=self.database.write_seconds,
            read_seconds=self.database.read_seconds,
            data_free_bytes=shutil.disk_usage(self._config.data_dir).free,
            database_bytes=self.database.size_bytes(),
        )

    def _broker_came(self) -> None:
        self.doorbell.ring_all()
        if self._keeper is not None:
            self._keeper.broker_came()

    def _taken(self, step: Step) -> None:
        """Act on what a batch of messages changed."""
        self.doorbell.ring(step.ring)
        if step.woken:
            self.scheduler.wake()
