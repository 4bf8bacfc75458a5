"""What calibration keeps of a tensor's values: extremes and moments of its channels, and one histogram."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BINS = 2048


class Statistics:
    """What two passes over a tensor's values leave behind: extremes and moments first, then a histogram."""

    def __init__(self) -> None:
        self.finite = True
        self.images = False
        """Whether the tensors have channels of rows and columns."""
        self.histogram: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self._count = 0
        self._tensors = 0
        self._maxima: Floats | float = 0.0
        self._peaks: Floats | float = 0.0
        self._means: Floats | float = 0.0
        self._magnitudes: Floats | float = 0.0
        self._squares: Floats | float = 0.0
        self._divisors: NDArray[np.float32] | None = None

    def measure(self, values: NDArray[np.float32]) -> None:
        """Take in one tensor's extremes and moments: the first pass."""
        rows = values.reshape(values.shape[0], -1)
        magnitudes = np.abs(rows)
        peaks = magnitudes.max(axis=1, initial=0.0)
        self.finite = self.finite and bool(np.isfinite(peaks).all())
        self.images = values.ndim == 3  # noqa: PLR2004 - channels, height, width
        self._count += int(np.count_nonzero(magnitudes))
        self._tensors += 1
        self._maxima = np.maximum(self._maxima, peaks)
        self._peaks = self._peaks + peaks.astype(np.float64)
        self._means = self._means + rows.mean(axis=1, dtype=np.float64)
        self._magnitudes = self._magnitudes + magnitudes.sum(axis=1, dtype=np.float64)
        self._squares = self._squares + np.square(magnitudes, dtype=np.float64).sum(axis=1)

    def count(self, values: NDArray[np.float32]) -> None:
        """Take in one tensor's histogram: the second pass, over the same tensors."""
        if self._divisors is not None:
            values = values / self._divisors.reshape(-1, *[1] * (values.ndim - 1))
        magnitudes = np.abs(values[values != 0.0])
        if not magnitudes.size:
            return
        places = (magnitudes * (BINS / self.largest)).astype(np.int64)
        self.histogram += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)

    def divided(self, divisors: NDArray[np.float32]) -> Statistics:
        """Return the statistics of the same tensors with each channel divided; the histogram is empty again."""
        found = copy.copy(self)
        found.histogram = np.zeros(BINS, np.int64)
        found._divisors = divisors  # noqa: SLF001 - its own class
        for name in ("_maxima", "_peaks", "_means", "_magnitudes"):
            setattr(found, name, getattr(self, name) / divisors)
        found._squares = self._squares / np.square(divisors, dtype=np.float64)  # noqa: SLF001
        return found

    @property
    def largest(self) -> float:
        """Return the largest magnitude."""
        return float(np.max(self._maxima))

    def channel_peaks(self) -> NDArray[np.float32]:
        """Return each channel's largest magnitude, averaged over the tensors: one outlier does not decide it."""
        return np.asarray(self._peaks / max(self._tensors, 1), np.float32)

    def channel_means(self) -> NDArray[np.float32]:
        """Return each channel's mean value."""
        return np.asarray(self._means / max(self._tensors, 1), np.float32)

    def mean_magnitude(self) -> float:
        """Return the mean of |x| over the values other than zero."""
        return float(np.sum(self._magnitudes)) / max(self._count, 1)

    def root_mean_square(self) -> float:
        """Return √(mean x²) over the values other than zero."""
        return float(np.sqrt(np.sum(self._squares) / max(self._count, 1)))
