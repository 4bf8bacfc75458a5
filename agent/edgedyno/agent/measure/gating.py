"""Wait until the board is as cool as it was when the execution began, and say how long that took.

A board that is still hot from the trial before throttles sooner: what is measured then is the order of the
trials. The wait ends when every zone is in its band, when the time for it is spent, or when the board does not
get any cooler. Not responsible for what happens inside a window (validity).
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.place import Place, locate
from edgedyno.agent.host.thermal import IGNORED_ZONES, find_temperature_files, read_temperatures

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from edgedyno.core.result import Conditions

# Zones step by 0.5 to 1 K (Raspberry Pi's VideoCore sensor: 0.5 K; coretemp: 1 K) and wander by about as much.
START_BAND_CELSIUS = 3.0
# Where the board's profile states at which temperature it slows down, that is too hot to begin, and so is
# what lies just below: a warm-up takes a passively cooled board up by some 10 K within a minute.
HEADROOM_CELSIUS = 10.0
PERIOD_SECONDS = 1.0
# Cooling down takes minutes, and less and less per minute. A board that has not become cooler by the
# resolution of its sensor in this time will hardly become so in the next.
PLATEAU_SECONDS = 30.0
PLATEAU_CELSIUS = 0.5


class Waited(Struct, frozen=True):
    """How a wait ended."""

    seconds: float
    reason: str | None = None
    """Why the board is not known to be cool; None: it is."""
    temperature_celsius: dict[str, float] = {}
    """At the end of the wait."""


class Gate:
    """Lets a race begin when the board is cool; make it when the execution begins, before any load.

    `limit_seconds` bounds all waits of one gate together. `start_celsius` is what an earlier gate of the same
    execution found (`gate.start_celsius`), for a runner that was started again on a board still hot.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        limit_seconds: float,
        start_band_celsius: float = START_BAND_CELSIUS,
        start_celsius: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        place = locate(root)
        zones, ceiling = _known(place)
        files = find_temperature_files(place.root, ignored=zones.ignored)
        self._files = {name: path for name, path in files.items() if name in zones.wanted} or files
        self._band_celsius = start_band_celsius
        self._limit_seconds = limit_seconds
        self._clock = clock
        self.start_celsius = dict(start_celsius or read_temperatures(self._files))
        self._ceiling_celsius = ceiling
        self._waits: list[Waited] = []

    @property
    def spent_seconds(self) -> float:
        """How long all waits took until now."""
        return sum(each.seconds for each in self._waits)

    def wait(self, stop: threading.Event) -> Waited:
        """Wait until the board is cool, time is up, it cools no more, or `stop` is set."""
        waited = self._wait(stop)
        self._waits.append(waited)
        return waited

    def _wait(self, stop: threading.Event) -> Waited:
        if not self.start_celsius:
            return Waited(0.0, "temperature: no thermal zone")
        began = self._clock()
        left = self._limit_seconds - self.spent_seconds
        excesses: deque[tuple[float, float]] = deque()
        while True:
            gone = self._clock() - began
            now = read_temperatures(self._files)
            if not now:
                return Waited(gone, "temperature: no thermal zone answers any more")
            excess, words = self._excess(now)
            excesses.append((gone, excess))
            if excess <= 0:
                return Waited(gone, None, now)
            reason = self._why_not(excesses, left, words, stopped=stop.is_set())
            if reason is not None:
                return Waited(gone, reason, now)
            stop.wait(max(0.01, min(PERIOD_SECONDS, left - gone)))

    def _excess(self, now: Mapping[str, float]) -> tuple[float, str]:
        """Return by how much the zone that is farthest above its border is too hot, and say so."""
        worst, words = float("-inf"), ""
        for name, celsius in now.items():
            border = self._border(name)
            if celsius - border > worst:
                worst, words = celsius - border, f"{name} is at {celsius:.1f} °C, to begin at {border:.1f} °C"
        return worst, words

    def _border(self, name: str) -> float:
        border = self.start_celsius.get(name, float("inf")) + self._band_celsius
        return border if self._ceiling_celsius is None else min(border, self._ceiling_celsius)

    @staticmethod
    def _why_not(
        excesses: deque[tuple[float, float]], left: float, words: str, *, stopped: bool
    ) -> str | None:
        """Return why waiting ends without success; None to go on. Forgets what is older than the plateau."""
        gone, excess = excesses[-1]
        if stopped:
            return f"stopped: {words}"
        if gone >= left:
            return f"not cool after {gone:.0f} s: {words}"
        while len(excesses) > 1 and excesses[1][0] <= gone - PLATEAU_SECONDS:
            excesses.popleft()
        since, before = excesses[0]
        if gone - since >= PLATEAU_SECONDS and before - excess < PLATEAU_CELSIUS:
            return f"no cooler since {gone - since:.0f} s: {words}"
        return None


class _Zones(Struct, frozen=True):
    wanted: frozenset[str]
    ignored: frozenset[str]


def _known(place: Place) -> tuple[_Zones, float | None]:
    """Return what the board's profile says: the zones that matter, and where it is too hot to begin."""
    thermal = read_board(place).profile.thermal
    ceiling = min(thermal.passive_celsius) - HEADROOM_CELSIUS if thermal.passive_celsius else None
    return _Zones(frozenset(thermal.zones), frozenset({*IGNORED_ZONES, *thermal.ignore})), ceiling


def with_gating(conditions: Conditions, waits: Sequence[Waited]) -> Conditions:
    """Return a trial's conditions with the waits before it: their sum, and why the last one ended uncool."""
    if not waits:
        return conditions
    return structs.replace(
        conditions, gating_seconds=sum(each.seconds for each in waits), gating_reason=waits[-1].reason
    )
