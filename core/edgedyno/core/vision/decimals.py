"""Float32 values as the shortest decimals that stand for them, so that files hold no digits that mean nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 9 digits tell all float32 apart, 6 are the most that all of them keep (IEEE 754 binary32).
_DIGITS = (9, 8, 7, 6)


def shortest(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return for each value the double nearest to its shortest decimal; rounded to float32 it is the value again.

    The order of values stays. A double made from float32 as it is would be written with 17 digits.
    """
    exact = values.astype(np.float64)
    magnitude = np.abs(exact)
    exponent = np.floor(np.log10(magnitude, where=magnitude > 0, out=np.zeros_like(exact)))
    found = exact.copy()
    for digits in _DIGITS:
        scale = 10.0 ** (digits - 1 - exponent)
        rounded = np.rint(exact * scale) / scale
        found = np.where(rounded.astype(np.float32) == values, rounded, found)
    return found
