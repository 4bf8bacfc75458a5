"""What loading a file again changes: where its memory lies, and so how fast it is.

Two processes of one file differ for as long as they live, and no number of inferences tells that from a difference
between files (Mytkowicz et al. 2009, "Producing wrong data without doing anything obviously wrong!"; Curtsinger and
Berger 2013, "Stabilizer"). Only fresh processes do, so every interval allows for it by their number.
"""

from __future__ import annotations

import math
from statistics import NormalDist

# Of 34 pairs of one file (FastestDet, one thread, 2-core virtual machine), 5 to 6 s each, the ratio was off by 0.99 %
# (root of the mean square) where the pairs' own scatter explains about 0.6 %: 0.5 % for each of the two processes.
# It followed the memory: other processes' memory taken in between turned the sign. `benchmarks/aa.py` shows it.
LOAD_SPREAD = 0.005


def load_half_width(alpha: float, *loads: int) -> float:
    """Return the half-width that loading adds to the logarithm of a ratio or a median, at error `alpha`.

    `loads` is how many processes each trial had: one number for a median, two for a ratio.
    """
    return NormalDist().inv_cdf(1 - alpha / 2) * LOAD_SPREAD * math.sqrt(sum(1 / max(1, n) for n in loads))


def loads_wanted(precision: float) -> int:
    """Return how many processes of each trial keep that below half of the precision of a ratio."""
    return max(1, math.ceil((load_half_width(0.05, 1, 1) / (precision / 2)) ** 2))
