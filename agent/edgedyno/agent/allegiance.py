"""Whose fleet this board works for: what another fleet's controller says is not heeded while work is open.

Such a controller would call the open execution unknown and refuse its results, which then would be lost to the one
that waits for them. It sends nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.agent.database import Database
    from edgedyno.core.messages import ControllerState

log = logging.getLogger(__name__)

# A fleet whose controller is not heard for so long, while another's is, is taken to be gone for good.
FAITHFUL_SECONDS = 600.0
_KEY = "fleet"


class Allegiance:
    """The fleet that the board's open work belongs to, kept with that work."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._foreign_since: float | None = None

    @property
    def foreign(self) -> bool:
        """Whether what controllers say now comes from another fleet than the open work's."""
        since = self._foreign_since
        return since is not None and self._clock() - since < FAITHFUL_SECONDS

    def hear(self, state: ControllerState, *, busy: bool) -> None:
        """Take a controller's word; `busy` tells whether there is open work."""
        mine = self._database.get_meta(_KEY)
        if state.fleet is None or state.fleet == mine:
            self._foreign_since = None
        elif mine is None or not busy or self._patience_is_over():
            self._foreign_since = None
            self._database.set_meta(_KEY, state.fleet)
        elif self._foreign_since is None:
            self._foreign_since = self._clock()
            log.error(
                "a controller of fleet %s came to the broker, the work here is fleet %s's: it is not heeded "
                "for %.0f s",
                state.fleet,
                mine,
                FAITHFUL_SECONDS,
            )

    def _patience_is_over(self) -> bool:
        return self._foreign_since is not None and not self.foreign
