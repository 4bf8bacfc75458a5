"""How much one client may ask for: token buckets with bounded memory. Knows nothing of HTTP."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A client that was forgotten begins with a full bucket: no worse than one that waited that long.
CLIENTS = 10_000


class RateLimit:
    """A bucket for each client: `burst` requests at once, `per_second` in the long run."""

    def __init__(
        self,
        per_second: float,
        burst: float,
        *,
        clients: int = CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clients = clients
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take one request out of a client's bucket; return the seconds to wait for one when it is empty, else 0."""
        left = self._left(client)
        if left < 1.0:
            return (1.0 - left) / self._per_second
        self._keep(client, left - 1.0)
        return 0.0

    def empty(self, client: str) -> float:
        """Return what `take` would, and take nothing."""
        left = self._left(client)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._per_second

    def __len__(self) -> int:
        return len(self._buckets)

    def _left(self, client: str) -> float:
        left, at = self._buckets.get(client, (self._burst, 0.0))
        return min(self._burst, left + (self._clock() - at) * self._per_second)

    def _keep(self, client: str, left: float) -> None:
        self._buckets[client] = (left, self._clock())
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._clients:
            self._buckets.popitem(last=False)
