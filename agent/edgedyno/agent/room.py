"""Whether the board has room for another execution: on its disk and in its outbox. Frees nothing, refuses nothing.

What an execution needs while it runs is spared: a reserved part of the outbox, and reserved bytes of the disk
(`database`). Live readings are never kept at all, so they are the first to go.
"""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

from edgedyno.core.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.agent.database import Database
    from edgedyno.agent.outbox import Outbox

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
# While work is refused somebody may be about to make room.
LOOK_AGAIN_SECONDS = 5.0


class Room:
    """Looks at disk and outbox, not more often than it is worth."""

    def __init__(
        self, database: Database, outbox: Outbox, *, min_free_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._look_at = 0.0
        self._waited_for = False
        self.refuses: str | None = None
        """Why no new execution may begin, as `code: sentence`."""

    def deadline(self) -> float:
        """Return when `tick` has something to do."""
        return self._look_at

    def tick(self) -> bool:
        """Look if it is time; True when the answer changed, or somebody waits and there is room."""
        if self._clock() < self._look_at:
            return False
        changed = self.look()
        waited, self._waited_for = self._waited_for, self._waited_for and self.refuses is not None
        return changed or (waited and self.refuses is None)

    def wait(self) -> None:
        """Look soon, and tell when there is room: something could not be written."""
        self._waited_for = True
        self._look_at = min(self._look_at, self._clock() + LOOK_AGAIN_SECONDS)

    def look(self) -> bool:
        """Look now; True when the answer changed."""
        before, self.refuses = self.refuses, self._reason()
        self._look_at = self._clock() + (LOOK_SECONDS if self.refuses is None else LOOK_AGAIN_SECONDS)
        if (before is None) == (self.refuses is None):
            return False
        if self.refuses is not None:
            log.error("no new executions: %s", self.refuses)
        else:
            log.info("there is room again: new executions are taken")
        return True

    @property
    def disk_is_full(self) -> bool:
        """Whether what fails now may have failed for want of space."""
        return self._free_bytes() < self._min_free_bytes

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._database.folder).free

    def _reason(self) -> str | None:
        if not self._outbox.accepts_runs:
            waiting = f"{self._outbox.depth} results ({format_bytes(self._outbox.size_bytes)})"
            return f"outbox.full: {waiting} wait for the controller"
        if self.disk_is_full:
            return (
                f"storage.full: {format_bytes(self._free_bytes())} free in {self._database.folder}, "
                f"{format_bytes(self._min_free_bytes)} are wanted (min_free)"
            )
        if not self._database.restore_reserve():
            return f"storage.full: no space in {self._database.folder} to reserve for results"
        return None
