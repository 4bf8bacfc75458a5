"""When a runtime has warmed up: by test, not by count (the idea of pyperf's calibration).

Two looks back are made. The last three blocks tell a fast fall; a slow one, where neighbours differ by less than
the tolerance, shows only against blocks that lie further back, so the last third of all blocks is compared with
the third before it. Latency that rises (a boost clock that ends, heat) is no warm-up: waiting would not end it.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MIN_BLOCKS = 6  # with fewer a fall over twenty blocks cannot be told from noise
MAX_BLOCKS = 60  # the ceiling: what drifts for longer is drift, and the race cancels it
TOLERANCE = 0.03  # medians of neighbouring blocks differ by this much on a quiet machine (docs/method.md)
_MAD_TO_SIGMA = 1.4826
_LATEST = 3
# Standard errors of the difference of two thirds that are put down to noise. More would end the warm-up early
# where it falls under noise; less makes it twice as long where it does not fall. An unneeded block is 0.06 s.
_NOISE = 0.7


def is_warm(blocks: Sequence[Sequence[float]]) -> bool:
    """Return whether the latest blocks of warm-up samples no longer fall, or the ceiling is reached."""
    if len(blocks) < MIN_BLOCKS:
        return False
    if len(blocks) >= MAX_BLOCKS:
        return True
    medians = np.array([median(block) for block in blocks])  # a third of the time of np.median
    return not _falls_fast(blocks, medians) and not _falls_slowly(medians)


def _falls_fast(blocks: Sequence[Sequence[float]], medians: NDArray[np.float64]) -> bool:
    """Compare the last block with the two before it, by the scatter (MAD) within them."""
    last = zip(blocks[-_LATEST:], medians[-_LATEST:], strict=True)
    scatter = max(float(np.median(np.abs(np.asarray(block) - centre))) for block, centre in last)
    allowed = max(TOLERANCE * float(medians[-1]), _NOISE * _MAD_TO_SIGMA * scatter)
    return float(medians[-_LATEST:-1].max() - medians[-1]) > allowed


def _falls_slowly(medians: NDArray[np.float64]) -> bool:
    """Compare the last third of the blocks with the third before it, by the scatter among the last."""
    size = len(medians) // 3
    before, last = medians[-2 * size : -size], medians[-size:]
    steps = np.abs(np.diff(medians[-2 * size :]))  # differences of neighbours: a fall adds little to them
    noise = _MAD_TO_SIGMA * float(np.median(steps)) / np.sqrt(2)
    allowed = max(TOLERANCE * float(np.median(last)), _NOISE * noise * float(np.sqrt(2 / size)))
    return bool(np.median(before) - np.median(last) > allowed)
