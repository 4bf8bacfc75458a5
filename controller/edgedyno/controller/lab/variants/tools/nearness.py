"""How near an INT8 file's outputs are to the float model's on calibration images: a destroyed file shows at once.

It says nothing of accuracy but at its worst: outputs that are mostly noise cannot be right.
"""

from collections.abc import Callable, Sequence
from typing import Any

# Each costs an inference of both models, and destroyed is destroyed on any of them.
IMAGES = 4


def spread(paths: Sequence[str], count: int = IMAGES) -> list[str]:
    """Return some of the paths, evenly from first to last."""
    count = min(count, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]


def output_sqnr_db(
    original: Callable[[Any], Sequence[Any]], variant: Callable[[Any], Sequence[Any]], paths: Sequence[str]
) -> float | None:
    """Return the ratio of signal to noise over all outputs of the images, in decibels; None where it has none."""
    import numpy as np

    signal = noise = 0.0
    for path in paths:
        tensor = np.load(path)
        for wanted, found in zip(original(tensor), variant(tensor), strict=True):
            exact = np.asarray(wanted, np.float64)
            signal += float((exact**2).sum())
            noise += float(((np.asarray(found, np.float64).reshape(exact.shape) - exact) ** 2).sum())
    ratio = signal / noise if noise else 0.0
    return round(float(10 * np.log10(ratio)), 2) if ratio > 0 and np.isfinite(ratio) else None
