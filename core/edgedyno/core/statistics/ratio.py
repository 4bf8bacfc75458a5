"""How many times as long one trial takes as another, from bursts that ran close together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.core.statistics.dependence import mean_error
from edgedyno.core.statistics.summary import block_medians

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgedyno.core.result import Samples

MIN_BLOCKS = 8
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


def paired_ratio(first: Samples, second: Samples, *, alpha: float = 0.05) -> Ratio | None:
    """Return the ratio first / second over the blocks in which both have a valid burst."""
    return ratio_of_blocks(block_medians(first), block_medians(second), alpha=alpha)


def ratio_of_blocks(
    first: Mapping[int, float], second: Mapping[int, float], *, alpha: float = 0.05
) -> Ratio | None:
    """Return the ratio of two trials from their seconds in each block; None below MIN_BLOCKS common blocks.

    The centre is Huber's of the log-ratios, one for each block: what drifts slowly cancels within a block,
    and the interval allows for what correlation is left between blocks (through the influence of each
    block).
    """
    common = sorted(first.keys() & second.keys())
    if len(common) < MIN_BLOCKS:
        return None
    logs = np.array([math.log(first[block] / second[block]) for block in common])
    centre, influence = _huber(logs)
    half_width = mean_error(influence).half_width(alpha)
    return Ratio(math.exp(centre), math.exp(centre - half_width), math.exp(centre + half_width), len(common))


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
