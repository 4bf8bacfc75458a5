"""The mean of readings that a coarse step hides: what values would have been rounded to these.

Where noise is well above the step, rounding averages away (Widrow and Kollár, "Quantization Noise", Gaussian
dither) and batch means do. Below it, the plain mean may be off by half a step however long one reads. The truth is
then looked for on a grid: a mean and Gaussian noise, each weighed by how likely it gives the observed count of
every step. Pure.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of the spread over the step: beyond it exp(-2 pi² 0.64) = 3e-6 steps is left of rounding.
MAX_SPREAD_STEPS = 0.8
# Noise in steps, log-uniform from next to none to what is called well above the step.
_SIGMAS = tuple(0.02 * 1.22**power for power in range(20))
_POINTS = 61
_NEGLIGIBLE = 1e-6
_TAIL = 0.025
_UNIFORM_95 = 0.475
_Z95 = 1.96


def mean_behind_steps(
    values: Sequence[float], step: float, *, batch_half_width: float
) -> tuple[float, float, float]:
    """Return mean, low and high of what was rounded to `step`.

    `batch_half_width` is the 95 % half-width by batch means: it says how many of the values are worth an
    independent one.
    """
    base = values[0]
    levels = Counter(round((value - base) / step) for value in values)
    if len(levels) == 1:
        # Nothing tells where between two steps it is: evenly likely, 95 % of which is this.
        return base, base - _UNIFORM_95 * step, base + _UNIFORM_95 * step
    share = _independent(values, step, batch_half_width) / len(values)
    posterior = _posterior({level: count * share for level, count in levels.items()})
    mean = math.fsum(place * weight for place, weight in posterior)
    low, high = _quantile(posterior, _TAIL), _quantile(posterior, 1 - _TAIL)
    return base + mean * step, base + low * step, base + high * step


def _independent(values: Sequence[float], step: float, half_width: float) -> float:
    """Return how many independent values these are worth, by their variance and that of their mean."""
    count = len(values)
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / count
    if variance <= (1e-6 * step) ** 2 or not math.isfinite(half_width) or half_width <= 0:
        return float(count)
    of_mean = (half_width / _Z95) ** 2
    return max(1.0, min(float(count), variance / of_mean))


def _posterior(counts: dict[int, float]) -> list[tuple[float, float]]:
    """Return places of the mean, in steps, with their weights, which sum to 1: looked for twice, the second closer."""
    coarse = _weigh(counts, min(counts) - 1.0, max(counts) + 1.0)
    likely = [place for place, weight in coarse if weight > _NEGLIGIBLE]
    spacing = coarse[1][0] - coarse[0][0]
    return _weigh(counts, likely[0] - spacing, likely[-1] + spacing)


def _weigh(counts: dict[int, float], low: float, high: float) -> list[tuple[float, float]]:
    places = [low + (high - low) * index / (_POINTS - 1) for index in range(_POINTS)]
    logs = [[_log_likelihood(place, sigma, counts) for sigma in _SIGMAS] for place in places]
    top = max(max(row) for row in logs)
    weights = [math.fsum(math.exp(value - top) for value in row) for row in logs]
    total = math.fsum(weights)
    return [(place, weight / total) for place, weight in zip(places, weights, strict=True)]


def _log_likelihood(place: float, sigma: float, counts: dict[int, float]) -> float:
    total = 0.0
    for level, count in counts.items():
        away = level - place
        share = _phi((away + 0.5) / sigma) - _phi((away - 0.5) / sigma)
        total += count * math.log(max(share, 1e-300))
    return total


def _phi(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _quantile(posterior: list[tuple[float, float]], share: float) -> float:
    gone = 0.0
    width = posterior[1][0] - posterior[0][0]
    for place, weight in posterior:
        if gone + weight >= share:
            return place - width / 2 + width * (share - gone) / weight
        gone += weight
    return posterior[-1][0]
