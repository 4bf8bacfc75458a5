"""How many times as long one trial takes as another, from bursts that ran close together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.statistics.dependence import MeanError, cosine_count, mean_error
from edgedyno.core.statistics.groups import batch_means, flatten
from edgedyno.core.statistics.loads import load_half_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MIN_BLOCKS = 8
# A tiny error allowed on few degrees of freedom asks for Student quantiles beyond what exp can give. On the scale of
# logarithms 20 is a factor of 5e8 either way: as wide as knowing nothing, and still a number.
NOTHING_KNOWN = 20.0
_HUBER = 1.345  # Huber 1964: 95 % of the mean's efficiency on normal data, and outliers lose their pull
_MAD_TO_SIGMA = 1.4826


class Ratio(NamedTuple):
    """Latency of one trial over that of another, with its interval, from `blocks` common blocks."""

    value: float
    low: float
    high: float
    blocks: int

    @property
    def half_width(self) -> float:
        """Half the interval's width, on the scale of logarithms: 0.02 means 2 %."""
        return math.log(self.high / self.low) / 2

    @property
    def excludes_one(self) -> bool:
        """Whether a difference is shown."""
        return self.low > 1.0 or self.high < 1.0


class LogRatio(NamedTuple):
    """The logarithm of a ratio and how sure it is; gives intervals at any level without looking again."""

    centre: float
    error: MeanError
    blocks: int
    loads: tuple[int, int] | None = None
    """How many processes each trial had, where the interval is to allow for it."""

    def interval(self, alpha: float) -> Ratio:
        """Return the ratio with the interval that misses with probability `alpha`."""
        half_width = self.error.half_width(alpha)
        if self.loads is not None:
            half_width = math.hypot(half_width, load_half_width(alpha, *self.loads))
        half_width = min(half_width, NOTHING_KNOWN)
        return Ratio(
            math.exp(self.centre),
            math.exp(self.centre - half_width),
            math.exp(self.centre + half_width),
            self.blocks,
        )


def paired_ratio(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    *,
    level: float = 0.95,
    loads: tuple[int, int] | None = None,
) -> Ratio:
    """Return the ratio first / second from the steady seconds of both in each common block, in time's order.

    `loads`, the number of processes that each trial had, makes it the ratio of two files; without it, it is that
    of the processes which happened to be there.
    Raises ValueError below MIN_BLOCKS blocks: there is no telling then how far they hang together.
    """
    return log_ratio(first, second)._replace(loads=loads).interval(1 - level)


def log_ratio(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> LogRatio:
    """Return what is known of the ratio first / second; no block may be empty.

    Raises ValueError below MIN_BLOCKS blocks.
    """
    if len(first) != len(second) or len(first) < MIN_BLOCKS:
        raise ValueError(
            f"found {len(first)} and {len(second)} blocks, expected the same number, {MIN_BLOCKS} at least"
        )
    return log_ratio_of_medians(flatten(first).medians(), flatten(second).medians())


def log_ratio_of_medians(first: NDArray[np.float64], second: NDArray[np.float64]) -> LogRatio:
    """Return what is known of the ratio, from the medians of the same blocks, in time's order.

    The centre is Huber's of the log-ratios: what drifts slowly cancels within a block, and the interval allows
    for what correlation is left between blocks (through the influence of each).
    """
    logs = np.log(first) - np.log(second)
    centre, influence = _huber(logs)
    error = mean_error(batch_means(influence), cosines=cosine_count(len(logs)))
    return LogRatio(centre, error, len(logs))


def _huber(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return Huber's location and each value's influence on it."""
    centre = float(np.median(values))
    bound = _HUBER * _MAD_TO_SIGMA * float(np.median(np.abs(values - centre)))
    if bound == 0.0:
        centre = float(values.mean())
        return centre, values - centre
    for _ in range(50):
        step = float(np.clip(values - centre, -bound, bound).mean())
        step /= max(0.1, float(np.mean(np.abs(values - centre) < bound)))
        centre += step
        if abs(step) < 1e-9:  # noqa: PLR2004 - a billionth of the ratio is nothing
            break
    inside = max(0.1, float(np.mean(np.abs(values - centre) < bound)))
    return centre, np.clip(values - centre, -bound, bound) / inside
