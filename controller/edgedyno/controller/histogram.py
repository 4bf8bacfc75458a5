"""Durations counted by bounds, for the metrics. Several threads may add to one."""

from __future__ import annotations

import threading
from collections import Counter

# From the quickest commit on a fast disk to a slow SD card's, and to a controller that was away for a while.
BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)


class Histogram:
    """Counts observations by the smallest bound that each kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[float] = Counter()
        self._sum_seconds = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Add a duration, or several that are equal."""
        bound = next((bound for bound in BOUNDS_SECONDS if seconds <= bound), float("inf"))
        with self._lock:
            self._counts[bound] += times
            self._sum_seconds += seconds * times

    def buckets(self) -> tuple[list[tuple[str, float]], float]:
        """Return Prometheus' cumulative buckets, the infinite one last, and the sum."""
        with self._lock:
            counts, total_seconds = dict(self._counts), self._sum_seconds
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound in (*BOUNDS_SECONDS, float("inf")):
            total += counts.get(bound, 0)
            buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
        return buckets, total_seconds
