"""Waiting for an event, but not for ever."""

from __future__ import annotations

import asyncio


async def wait_for_wakeup(wake: asyncio.Event, seconds: float) -> None:
    """Wait until `wake` is set; after so many seconds it is set here.

    Not by `asyncio.wait_for`: before Python 3.12 that forgets a cancellation which comes in the turn of the event
    loop in which the event does (https://github.com/python/cpython/issues/86296), and its task runs on for ever.
    """
    timer = asyncio.get_running_loop().call_later(seconds, wake.set)
    try:
        await wake.wait()
    finally:
        timer.cancel()
