"""When a runtime has warmed up: by test, not by count (the idea of pyperf's calibration)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_BLOCKS = 3
MAX_BLOCKS = 60  # the ceiling: what drifts for longer is drift, and the race cancels it
TOLERANCE = 0.03  # medians of neighbouring blocks differ by this much on a quiet machine (docs/method.md)
_MAD_TO_SIGMA = 1.4826


def is_warm(blocks: Sequence[Sequence[float]]) -> bool:
    """Return whether the last three blocks of warm-up samples agree, or the ceiling is reached.

    Two blocks agree when their medians differ by no more than TOLERANCE or the scatter (MAD) within them. A
    block that is still falling below both of its predecessors keeps the warm-up going.
    """
    if len(blocks) < MIN_BLOCKS:
        return False
    if len(blocks) >= MAX_BLOCKS:
        return True
    last = [np.asarray(block, dtype=np.float64) for block in blocks[-MIN_BLOCKS:]]
    medians = [float(np.median(block)) for block in last]
    scatter = max(
        float(np.median(np.abs(block - median))) for block, median in zip(last, medians, strict=True)
    )
    allowed = max(TOLERANCE * medians[-1], _MAD_TO_SIGMA * scatter)
    return max(medians[:-1]) - medians[-1] <= allowed
