"""Groups of samples (bursts, in the order of time) as flat arrays: thousands of them in well under a millisecond."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


MOST_ROWS = 300  # longer series are judged in this many batches: slow changes are what matters


class Groups(NamedTuple):
    """All samples one after another, and where each group begins; no group is empty."""

    values: NDArray[np.float64]
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]

    def followed_by(self, other: Groups) -> Groups:
        """Return these groups and then those of `other`."""
        return Groups(
            np.concatenate([self.values, other.values]),
            np.concatenate([self.starts, other.starts + len(self.values)]),
            np.concatenate([self.counts, other.counts]),
        )

    def merged(self) -> Groups:
        """Return the same samples in MOST_ROWS groups at most, by joining neighbours."""
        n = len(self.counts)
        if n <= MOST_ROWS:
            return self
        edges = np.arange(MOST_ROWS) * n // MOST_ROWS
        return Groups(self.values, self.starts[edges], np.add.reduceat(self.counts, edges))

    def shares_below(self, limits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of each group's samples that do not exceed each of the ascending `limits`."""
        columns = len(limits) + 1
        rows = np.repeat(np.arange(len(self.counts)), self.counts)
        codes = rows * columns + np.searchsorted(limits, self.values, side="left")
        found = np.bincount(codes, minlength=len(self.counts) * columns).reshape(-1, columns)
        return np.cumsum(found[:, :-1], axis=1) / self.counts[:, None]

    def medians(self) -> NDArray[np.float64]:
        """Return the median of each group."""
        found = np.empty(len(self.counts))
        for count in np.unique(self.counts):
            which = np.flatnonzero(self.counts == count)
            rows = self.values[self.starts[which][:, None] + np.arange(count)]
            rows.sort(axis=1)
            found[which] = (rows[:, (count - 1) // 2] + rows[:, count // 2]) / 2
        return found


def flatten(groups: Sequence[Sequence[float]] | Groups) -> Groups:
    """Return `groups` as arrays, without those that are empty."""
    if isinstance(groups, Groups):
        return groups
    counts = np.fromiter(map(len, groups), dtype=np.intp, count=len(groups))
    values = np.fromiter(chain.from_iterable(groups), dtype=np.float64, count=int(counts.sum()))
    counts = counts[counts > 0]
    return Groups(values, np.cumsum(counts) - counts, counts)


def batch_means(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the series, or the means of MOST_ROWS batches of neighbours where it is longer."""
    n = len(series)
    if n <= MOST_ROWS:
        return series
    edges = np.arange(MOST_ROWS + 1) * n // MOST_ROWS
    return np.asarray(np.add.reduceat(series, edges[:-1]) / np.diff(edges))
