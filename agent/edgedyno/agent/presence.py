"""How this board shows itself: birth, last will, heartbeat; and which session is the newest."""

from __future__ import annotations

import hashlib
import logging
import os
import random
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgedyno.agent.database import Database, next_session_epoch
from edgedyno.agent.journal import read_boot_id
from edgedyno.agent.telemetry import LiveReadings
from edgedyno.core.messages import Caps, State, Telemetry, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.core.board import Capabilities

log = logging.getLogger(__name__)


class Presence:
    """The messages that say that the board is there, and the session they belong to."""

    def __init__(
        self,
        database: Database,
        *,
        board: str,
        capabilities: Capabilities,
        heartbeat_seconds: float,
        clock: Callable[[], float],
        root: Path = Path("/"),
    ) -> None:
        self._database = database
        self._board = board
        self._capabilities = capabilities
        self._capabilities_sha256 = hashlib.sha256(msgspec.json.encode(capabilities)).hexdigest()
        self._boot_id = read_boot_id()
        self._heartbeat_seconds = heartbeat_seconds
        self._clock = clock
        self._live = LiveReadings(root, capabilities)
        self._session_epoch = next_session_epoch(database)
        self._beat_at = clock() + random.uniform(0, heartbeat_seconds)  # noqa: S311 spreads a fleet, no secret

    def state(self, *, online: bool, execution: str | None = None, refuses: str | None = None) -> bytes:
        """Return the retained state; offline, it is the last will and the farewell."""
        return encode(
            State(
                board=self._board,
                online=online,
                boot_id=self._boot_id,
                session_epoch=self._session_epoch,
                capabilities_sha256=self._capabilities_sha256,
                execution=execution,
                agent_version=self._capabilities.agent_version,
                refuses=refuses,
            )
        )

    def caps(self) -> bytes:
        """Return the retained capabilities."""
        return encode(
            Caps(board=self._board, session_epoch=self._session_epoch, capabilities=self._capabilities)
        )

    def outdated_by(self, state: State) -> bool:
        """Tell whether a retained state claims a session that is not older; then begin a newer one.

        That happens when the state folder was lost: births with a small epoch would be ignored for ever.
        """
        mine = state.session_epoch == self._session_epoch and state.boot_id == self._boot_id
        if state.session_epoch < self._session_epoch or mine:
            return False
        log.warning("the broker keeps session %d of this board: a newer one begins", state.session_epoch)
        self._session_epoch = next_session_epoch(self._database, above=state.session_epoch)
        return True

    def deadline(self) -> float:
        """Return when the next heartbeat is due."""
        return self._beat_at

    def beat(self, outbox_depth: int, outbox_bytes: int) -> bytes | None:
        """Return a heartbeat if one is due."""
        now = self._clock()
        if now < self._beat_at:
            return None
        self._beat_at = now + self._heartbeat_seconds
        live = self._live.read()
        return encode(
            Telemetry(
                board=self._board,
                session_epoch=self._session_epoch,
                uptime_seconds=time.clock_gettime(time.CLOCK_BOOTTIME),
                load=os.getloadavg()[0],
                temperature_celsius=live.temperature_celsius,
                frequency_hz=live.frequency_hz,
                power_watts=live.power_watts,
                throttled=live.throttled,
                throttle_visible=self._live.throttle_visible,
                outbox_depth=outbox_depth,
                outbox_bytes=outbox_bytes,
                heartbeat_seconds=self._heartbeat_seconds,
                rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
            )
        )
