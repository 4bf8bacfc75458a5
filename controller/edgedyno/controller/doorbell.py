"""Rings boards: publishes the head of each one's queue. One task: no older head follows a newer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from edgedyno.controller.rollout.gate import heads_of_boards
from edgedyno.controller.store import boards
from edgedyno.core.messages import Desired, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from edgedyno.controller.rollout.moment import Moment
    from edgedyno.controller.store.database import Database
    from edgedyno.controller.store.executions import Execution

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0


class Doorbell:
    """Knows which boards to ring; what there is to do it reads when it rings."""

    def __init__(
        self,
        database: Database,
        send: Callable[[str, str, Message], None],
        now: Callable[[], float],
        look: Callable[[], Moment],
    ) -> None:
        self._database = database
        self._look = look
        self._send = send
        self._now = now
        self._wanted: set[str] = set()
        self._all = False
        self._asked = asyncio.Event()

    def ring(self, names: Iterable[str]) -> None:
        """Have these boards rung."""
        self._wanted.update(names)
        if self._wanted:
            self._asked.set()

    def ring_all(self) -> None:
        """Have every board rung: the broker may have forgotten all of them."""
        self._all = True
        self._asked.set()

    async def run(self) -> None:
        """Ring until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            wanted, self._wanted = self._wanted, set()
            everyone, self._all = self._all, False
            try:
                heads = await self._database.read(
                    heads_of, None if everyone else wanted, self._now(), self._look()
                )
            except DBAPIError:
                log.exception("the database failed; the boards are rung later")
                self._wanted |= wanted
                self._all |= everyone
                self._asked.set()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for board, desired in heads.items():
                self._send(board, "desired", desired)


def heads_of(
    connection: Connection, names: set[str] | None, now_seconds: float, moment: Moment
) -> dict[str, Desired]:
    """Return what each of these boards should do; None stands for all boards."""
    heads = heads_of_boards(connection, names, moment, now_seconds=now_seconds)
    wanted = boards.read_names(connection) if names is None else sorted(names)
    return {board: _desired(heads.get(board)) for board in wanted}


def _desired(head: Execution | None) -> Desired:
    if head is None:
        return Desired(execution=None, version=0)
    return Desired(execution=head.execution, version=head.version, cancel_requested=head.cancel_requested)
