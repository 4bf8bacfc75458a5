"""A bounded queue from the MQTT thread to the event loop. It carries messages and looks into none."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import NamedTuple


class Incoming(NamedTuple):
    """One message as it came."""

    topic: str
    payload: bytes
    at_seconds: float
    """When, on the monotonic clock."""


class Inbox:
    """Filled by one thread, emptied by one task; when full, the thread waits, and the broker with it."""

    def __init__(self, limit: int, *, patience_seconds: float = 10.0) -> None:
        self._limit = limit
        self._patience_seconds = patience_seconds
        self._items: deque[Incoming] = deque()
        self._room = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self.dropped = 0
        """Messages that found no room in time; their boards send them again, as nothing was acknowledged."""

    @property
    def depth(self) -> int:
        """Messages that wait."""
        return len(self._items)

    def put(self, item: Incoming) -> bool:
        """Add a message from the MQTT thread; False when it had to be dropped."""
        with self._room:
            if len(self._items) >= self._limit and not self._room.wait_for(
                lambda: len(self._items) < self._limit, self._patience_seconds
            ):
                self.dropped += 1
                return False
            was_empty = not self._items
            self._items.append(item)
        if was_empty and not self._loop.is_closed():
            # One wake-up for a burst: each costs a write to a pipe.
            self._loop.call_soon_threadsafe(self._arrived.set)
        return True

    async def take(self, limit: int, *, linger_seconds: float) -> list[Incoming]:
        """Wait for a message, then for more of them, at most `linger_seconds`; return at most `limit`."""
        while not self._items:
            self._arrived.clear()
            if self._items:
                break
            await self._arrived.wait()
        if len(self._items) < limit and linger_seconds > 0:
            await self._linger(limit, linger_seconds)
        with self._room:
            taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            self._room.notify_all()
        return taken

    async def _linger(self, limit: int, linger_seconds: float) -> None:
        step = linger_seconds / 25
        deadline = self._loop.time() + linger_seconds
        while len(self._items) < limit and self._loop.time() < deadline:
            before = len(self._items)
            await asyncio.sleep(step)
            if len(self._items) == before:
                return  # nothing more is on its way: a lone message need not wait
