"""Collect temperatures, clocks and throttling over time, between bursts, and cut them to a trial's time.

Not responsible for when to look (validity), nor for judging what is seen (rules, clocks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from edgedyno.core.result import BoardSeries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedyno.agent.host.throttle import ThrottleReading
    from edgedyno.agent.measure.clocks import ClockState
    from edgedyno.core.result import Burst

# A plot is some 1000 pixels wide; two looks a second would fill that within ten minutes.
MOST_MOMENTS = 600
# A look at two a second may cost 0.1 % of a core: reading temperatures that take longer is left to the windows' ends.
TEMPERATURE_COST_BOUND_SECONDS = 0.002
# Half a window of validity to each side of the bursts: the looks before the first and after the last belong to them.
MARGIN_SECONDS = 0.5


class Moment(Struct, frozen=True, omit_defaults=True):
    """What was seen at one moment."""

    at: float
    temperatures: dict[str, float] = {}
    clocks: dict[str, float] = {}
    throttled: list[str] = []


class Series:
    """Moments in the order of time."""

    def __init__(self, *, throttle_visible: bool) -> None:
        self.moments: list[Moment] = []
        self.cost_seconds = 0.0
        self.throttle_visible = throttle_visible
        self._counters: dict[str, int] = {}

    def add(
        self,
        at: float,
        temperatures: Mapping[str, float],
        clocks: Mapping[str, ClockState],
        throttle: ThrottleReading,
        *,
        cost_seconds: float,
    ) -> None:
        """Add what was seen; a counter counts as throttling where it moved since the moment before."""
        moved = [
            name for name, value in throttle.counters.items() if value != self._counters.get(name, value)
        ]
        self._counters.update(throttle.counters)
        hz = {name: state.frequency_hz for name, state in clocks.items() if state.frequency_hz}
        self.moments.append(Moment(at, dict(temperatures), hz, sorted({*throttle.flags, *moved})))
        self.cost_seconds += cost_seconds

    def take(self) -> SeriesLog:
        """Return everything since the last time, and forget it."""
        taken = SeriesLog(self.moments, self.cost_seconds, self.throttle_visible)
        self.moments, self.cost_seconds = [], 0.0
        return taken


class SeriesLog(Struct, frozen=True):
    """Moments as the journal keeps them."""

    moments: list[Moment] = []
    cost_seconds: float = 0.0
    throttle_visible: bool = True

    def joined(self, later: SeriesLog) -> SeriesLog:
        """Return this and what was seen later."""
        return SeriesLog(
            [*self.moments, *later.moments],
            self.cost_seconds + later.cost_seconds,
            later.throttle_visible,
        )


def series_of(log: SeriesLog, bursts: Sequence[Burst]) -> BoardSeries | None:
    """Return the series for the time of some bursts; None where nothing was seen in it."""
    if not bursts:
        return None
    first = min(burst.started_monotonic_seconds for burst in bursts) - MARGIN_SECONDS
    last = (
        max(burst.started_monotonic_seconds + sum(burst.latency_seconds) for burst in bursts) + MARGIN_SECONDS
    )
    inside = [moment for moment in log.moments if first <= moment.at <= last]
    if not inside:
        return None
    step = -(-len(inside) // MOST_MOMENTS)
    kept = [_folded(inside[index : index + step]) for index in range(0, len(inside), step)]
    return BoardSeries(
        monotonic_seconds=[moment.at for moment in kept],
        temperature_celsius=_columns([moment.temperatures for moment in kept]),
        frequency_hz=_columns([moment.clocks for moment in kept]),
        throttled=[moment.throttled for moment in kept],
        throttle_visible=log.throttle_visible,
        cost_seconds=log.cost_seconds * len(inside) / max(1, len(log.moments)),
        thinned=step,
    )


def _folded(moments: Sequence[Moment]) -> Moment:
    """Return several moments as one: hottest, slowest, and throttled when any was."""
    if len(moments) == 1:
        return moments[0]
    temperatures: dict[str, float] = {}
    clocks: dict[str, float] = {}
    for moment in moments:
        for name, celsius in moment.temperatures.items():
            temperatures[name] = max(celsius, temperatures.get(name, celsius))
        for name, hz in moment.clocks.items():
            clocks[name] = min(hz, clocks.get(name, hz))
    flags = sorted({flag for moment in moments for flag in moment.throttled})
    return structs.replace(moments[0], temperatures=temperatures, clocks=clocks, throttled=flags)


def _columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    names: Iterable[str] = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
