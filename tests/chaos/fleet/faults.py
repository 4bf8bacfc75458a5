"""What can go wrong: each fault begins at once and is over after a while."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.fleet.boards import Board, HurtFleet

SHORT_SECONDS, LONG_SECONDS = 0.2, 4.0


class Faults:
    """Chooses, does and undoes faults."""

    def __init__(self, fleet: HurtFleet, seed: int) -> None:
        self._fleet = fleet
        self._chance = random.Random(seed)
        self._undo: list[tuple[float, Callable[[], None]]] = []
        self.kinds: dict[str, Callable[[], None]] = {
            "agent killed": self._kill_agent,
            "runner killed": lambda: self._kill_below(0),
            "worker killed": lambda: self._kill_below(-1),
            "controller killed": self._kill_controller,
            "broker killed, its state lost": self._kill_broker,
            "link cut": self._cut,
            "one way held": self._hold,
            "messages lost": lambda: self._spoil("loss", 0.2),
            "messages doubled": lambda: self._spoil("doubling", 0.5),
            "messages reordered": lambda: self._spoil("reordering", 0.8),
            "files' link cut": self._cut_http,
        }
        # What stops everything comes less often, or nothing would ever be measured.
        self._weights = [3, 2, 3, 1, 1, 3, 3, 3, 3, 3, 3]

    def one(self) -> str:
        """Do a fault; return its kind."""
        self.settle(time.monotonic())
        kind = self._chance.choices(list(self.kinds), self._weights)[0]
        self.kinds[kind]()
        return kind

    def settle(self, now: float) -> None:
        """Undo what has lasted long enough by `now`."""
        for moment, undo in [pair for pair in self._undo if pair[0] <= now]:
            self._undo.remove((moment, undo))
            undo()

    def end(self) -> None:
        """Undo everything, and have everything run."""
        self.settle(float("inf"))
        for board in self._fleet.boards:
            board.mqtt.mend()
            board.http.mend()

    def _later(self, undo: Callable[[], None]) -> None:
        seconds = self._chance.uniform(SHORT_SECONDS, LONG_SECONDS)
        self._undo.append((time.monotonic() + seconds, undo))

    def _board(self) -> Board:
        return self._chance.choice(self._fleet.boards)

    def _kill_agent(self) -> None:
        name = self._board().name
        self._fleet.kill(name)
        self._later(lambda: self._fleet.start(name))

    def _kill_below(self, position: int) -> None:
        pids = self._fleet.below(self._board().name)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[position], signal.SIGKILL)

    def _kill_controller(self) -> None:
        self._fleet.kill("controller")
        self._later(lambda: self._fleet.start("controller"))

    def _kill_broker(self) -> None:
        if self._fleet.broker.running:
            self._fleet.broker.kill()
            self._later(self._fleet.broker.start)

    def _cut(self) -> None:
        wire = self._board().mqtt
        wire.cut()
        self._later(wire.mend)

    def _cut_http(self) -> None:
        wire = self._board().http
        wire.cut()
        self._later(wire.mend)

    def _hold(self) -> None:
        wire = self._board().mqtt
        wire.hold("up" if self._chance.random() < 0.5 else "down")
        self._later(wire.mend)

    def _spoil(self, name: str, share: float) -> None:
        wire = self._board().mqtt
        setattr(wire, name, share)
        self._later(wire.mend)
