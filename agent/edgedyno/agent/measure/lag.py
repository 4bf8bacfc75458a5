"""How late a slow meter is: fitted on the edges of the metered window itself, an on/off pulse of known times.

Pure. A meter's answer to a step is taken to be a delay and then an exponential approach.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedyno.agent.measure.meanpower import Span
    from edgedyno.agent.sensors.base import Reading

DELAYS = 25
TIME_CONSTANTS = (0.0, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
REFINEMENTS = 3
MAX_POINTS = 240
# The pulse has to explain this part of all variance, or there is no telling when it came.
LEAST_EXPLAINED = 0.5
SETTLED = 5.0  # time constants: 0.7 % of the step is left
MIN_POINTS = 12


class Lag(NamedTuple):
    """A delay, the time constant of the approach, and how finely the delay is known."""

    delay_seconds: float
    tau_seconds: float
    grain_seconds: float

    @property
    def settle_seconds(self) -> float:
        """How long after the delay the old power is still seen."""
        return SETTLED * self.tau_seconds


class _Fit(NamedTuple):
    error: float
    delay: float
    tau: float


def fit_lag(readings: Sequence[Reading], window: Span, bounds: tuple[float, float]) -> Lag | None:
    """Return the lag that explains the readings before, in and after the window best; None if none does."""
    points = _thinned(readings)
    if len(points) < MIN_POINTS:
        return None
    mean = math.fsum(value for _, value in points) / len(points)
    variance = math.fsum((value - mean) ** 2 for _, value in points)
    low, high = bounds
    spacing = (high - low) / (DELAYS - 1)
    best = min(
        _fit(points, window, low + index * spacing, tau) for index in range(DELAYS) for tau in TIME_CONSTANTS
    )
    tau_spacing = max(0.3, best.tau / 3)
    for _ in range(REFINEMENTS):
        spacing, tau_spacing = spacing / 3, tau_spacing / 3
        best = min(
            _fit(
                points,
                window,
                min(high, max(low, best.delay + i * spacing)),
                max(0.0, best.tau + j * tau_spacing),
            )
            for i in (-2, -1, 0, 1, 2)
            for j in (-2, -1, 0, 1, 2)
        )
    if variance <= 0 or best.error > (1 - LEAST_EXPLAINED) * variance:
        return None
    return Lag(best.delay, best.tau, max(spacing, _usual_gap(points)))


def _thinned(readings: Sequence[Reading]) -> list[tuple[float, float]]:
    """Return time and watts, neighbours averaged where there are more than the fit needs."""
    each = max(1, -(-len(readings) // MAX_POINTS))
    groups = [readings[index : index + each] for index in range(0, len(readings), each)]
    return [
        (
            math.fsum(reading.at_seconds for reading in group) / len(group),
            math.fsum(reading.value for reading in group) / len(group),
        )
        for group in groups
    ]


def _usual_gap(points: list[tuple[float, float]]) -> float:
    gaps = sorted(later[0] - earlier[0] for earlier, later in pairwise(points))
    return gaps[len(gaps) // 2]


def _fit(points: list[tuple[float, float]], window: Span, delay: float, tau: float) -> _Fit:
    """Return what is left of the variance after the best offset and height of this answer to the pulse."""
    shape = [_answer(at - window.start_seconds - delay, window.seconds, tau) for at, _ in points]
    count = len(points)
    mean_x = math.fsum(shape) / count
    mean_y = math.fsum(value for _, value in points) / count
    xx = math.fsum((x - mean_x) ** 2 for x in shape)
    xy = math.fsum((x - mean_x) * (value - mean_y) for x, (_, value) in zip(shape, points, strict=True))
    yy = math.fsum((value - mean_y) ** 2 for _, value in points)
    # A pulse that lowers the power is no load.
    return _Fit(yy - xy * xy / xx if xx > 0 and xy > 0 else yy, delay, tau)


def _answer(at: float, length: float, tau: float) -> float:
    """Return the answer, from 0 to 1, to a pulse from 0 to `length`."""
    if at <= 0:
        return 0.0
    if tau <= 0:
        return 1.0 if at <= length else 0.0
    if at <= length:
        return -math.expm1(-at / tau)
    return -math.expm1(-length / tau) * math.exp(-(at - length) / tau)
