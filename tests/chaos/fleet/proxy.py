"""A wire between a board and the rest that can be cut, held, and made to lose, double or reorder messages."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from typing import TYPE_CHECKING, Literal

from tests.chaos.fleet import frames

if TYPE_CHECKING:
    from collections.abc import Coroutine

Way = Literal["up", "down"]
PIECE_BYTES = 1 << 16


class Wires:
    """The loop in which all wires of a fleet run, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[object, object, None]) -> None:
        """Run a coroutine to its end."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def stop(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Wire:
    """A port that leads to the first of some others that answers; with `messages` what passes is MQTT."""

    def __init__(self, wires: Wires, host: str, targets: list[int], *, messages: bool, seed: int) -> None:
        self.host = host
        self.port = 0
        self._wires = wires
        self._targets = targets
        self._messages = messages
        self._chance = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[Way, asyncio.Event] = {"up": asyncio.Event(), "down": asyncio.Event()}
        self.is_cut = False
        self.loss, self.doubling, self.reordering = 0.0, 0.0, 0.0
        self._let_through()
        wires.do(self._listen())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Close what is open, and refuse what comes."""
        self.is_cut = True
        self._wires.do(self._close_all())

    def mend(self) -> None:
        """Let everything through again."""
        self.is_cut = False
        self._let_through()
        self.loss = self.doubling = self.reordering = 0.0

    def hold(self, way: Way) -> None:
        """Let nothing through one way, while connections stay open."""
        self._wires.loop.call_soon_threadsafe(self._open[way].clear)

    def _let_through(self) -> None:
        for gate in self._open.values():
            self._wires.loop.call_soon_threadsafe(gate.set)

    def close(self) -> None:
        """Stop listening and close what is open."""
        self._server.close()
        self.cut()

    async def _close_all(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self.is_cut:
            near.close()
            return
        self._tasks.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await self._reach()
            ways = [
                asyncio.ensure_future(self._carry("up", near_reader, far, near)),
                asyncio.ensure_future(self._carry("down", far_reader, near, far)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for writer in (near, far):
                if writer is not None:
                    with contextlib.suppress(Exception):
                        writer.close()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a target in any order, as a balancer of load would."""
        *others, last = self._chance.sample(self._targets, len(self._targets))
        for target in others:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", target)
        return await asyncio.open_connection("127.0.0.1", last)

    async def _carry(
        self, way: Way, reader: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        buffer = bytearray()
        while piece := await reader.read(PIECE_BYTES):
            await self._open[way].wait()
            if not self._messages:
                to.write(piece)
            else:
                buffer += piece
                self._pass(frames.split(buffer), to, back)
            await to.drain()

    def _pass(self, packets: list[bytes], to: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        """Send packets on; messages of one piece may change places, as they do over two connections."""
        if len(packets) > 1 and self._chance.random() < self.reordering:
            messages = [packet for packet in packets if frames.is_message(packet)]
            self._chance.shuffle(messages)
            packets = [packet for packet in packets if not frames.is_message(packet)] + messages
        for packet in packets:
            if not frames.is_message(packet):
                to.write(packet)
            elif self._chance.random() < self.loss:
                back.write(frames.acknowledge(packet))
            else:
                to.write(packet)
                if self._chance.random() < self.doubling:
                    to.write(frames.again(packet))
