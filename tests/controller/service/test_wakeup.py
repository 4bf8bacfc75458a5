"""A wait for an event that has an end, and can be canceled at any moment."""

from __future__ import annotations

import asyncio

from edgedyno.controller.wakeup import wait_for_wakeup


async def test_a_wait_ends_with_the_event_and_with_the_time() -> None:
    wake = asyncio.Event()
    asyncio.get_running_loop().call_soon(wake.set)
    await asyncio.wait_for(wait_for_wakeup(wake, 3600.0), 10)
    wake.clear()
    await asyncio.wait_for(wait_for_wakeup(wake, 0.01), 10)


async def test_nothing_wakes_whoever_has_stopped_waiting() -> None:
    wake = asyncio.Event()
    asyncio.get_running_loop().call_soon(wake.set)
    await wait_for_wakeup(wake, 0.01)
    wake.clear()
    await asyncio.sleep(0.05)
    assert not wake.is_set()


async def test_a_cancellation_in_the_turn_of_the_event_is_not_forgotten() -> None:
    wake = asyncio.Event()
    task = asyncio.create_task(wait_for_wakeup(wake, 3600.0))
    await asyncio.sleep(0)
    wake.set()
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    assert task.cancelled()
