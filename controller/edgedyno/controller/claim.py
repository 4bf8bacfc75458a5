"""Which of several controllers may serve the boards of a broker: those of one database, its fleet.

A controller that served boards of another database would tell them that their executions are unknown, and refuse
their results. So it stands by as soon as it hears of another fleet at its broker, whether that one is online or
not, until it is told to take the broker over from one that has gone. Where two fleets both serve, because the broker
had lost its state, the younger one gives way. It sends nothing: the link does.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.controller.store.dialect import insert_new
from edgedyno.controller.store.settings import read_setting
from edgedyno.controller.store.tables import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from edgedyno.core.messages import ControllerState

log = logging.getLogger(__name__)
_SETTING = "fleet"


def fleet_of(connection: Connection) -> str:
    """Return the name of this database's fleet, which it gets once."""
    # Replicas that start together on an empty database agree on the first one's.
    connection.execute(insert_new(connection, settings).values(name=_SETTING, value=secrets.token_hex(8)))
    return read_setting(connection, _SETTING) or ""


class Heard(Struct, frozen=True):
    """What another controller's word calls for."""

    serve: bool
    """Whether this controller may serve."""
    answer: bool = False
    """Whether to say again that this controller is there."""


class Claim:
    """One controller's view of who serves; used in the link's thread."""

    def __init__(
        self, fleet: str, seniority_seconds: Callable[[], float], *, take_over: bool = False
    ) -> None:
        self.fleet = fleet
        self.seniority_seconds = seniority_seconds
        self._take_over = take_over
        self._held = False
        self.other: str | None = None
        """The fleet that holds the broker instead of this one."""

    @property
    def may_serve(self) -> bool:
        """Whether no other fleet holds the broker."""
        return self.other is None

    def hold(self) -> None:
        """Note that this controller serves."""
        self._held = True

    def cleared(self) -> None:
        """Take it that nobody holds the broker: the retained word was cleared."""
        if self.other is not None:
            log.warning("the broker was cleared of fleet %s: this controller serves it now", self.other)
        self.other = None

    def hear(self, state: ControllerState) -> Heard:
        """Take the word of a controller, which may be this one's own."""
        if state.fleet is None or state.fleet == self.fleet:
            return Heard(self.may_serve, answer=self.may_serve and not state.online)
        if self._take_over and not state.online:
            log.warning("the broker is taken over from fleet %s, whose controller is offline", state.fleet)
            return Heard(serve=True, answer=self._held)
        if self._held and (not state.online or self._is_senior_to(state)):
            log.error("fleet %s came to this broker, which serves fleet %s", state.fleet, self.fleet)
            return Heard(serve=True, answer=True)
        if self.other != state.fleet:
            log.error(
                "this broker serves fleet %s, this controller's database is fleet %s: it stands by. If the other "
                "is gone for ever, stop it and start this one with --take-over",
                state.fleet,
                self.fleet,
            )
        self.other, self._held = state.fleet, False
        return Heard(serve=False)

    def _is_senior_to(self, state: ControllerState) -> bool:
        mine = (self.seniority_seconds(), self.fleet)
        return mine > (state.seniority_seconds, state.fleet or "")
