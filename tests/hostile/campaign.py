"""Gives a target its inputs and keeps account: what crashed, what took long, what memory grew."""

from __future__ import annotations

import gc
import os
import resource
import signal
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from tests.hostile.mutation import Mutator
from tests.hostile.targets import REFUSALS, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# No input may hold a reader for longer; a busy machine is allowed for.
HANG_SECONDS = 20.0
WARM_UP_RATIO = 0.3
MEMORY_BYTES = 4 << 30


class Crash(Struct, frozen=True):
    """An input that a reader could not refuse."""

    number: int
    data: bytes
    text: str


class Account(Struct):
    """What came of a campaign."""

    target: str
    inputs: int = 0
    refused: int = 0
    taken: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    growth_bytes: int = 0
    """Of resident memory, after a first part of the inputs in which caches fill."""
    crashes: list[Crash] = []


class HangError(Exception):
    """A reader did not come back."""


def attack(target: Target, folder: Path, *, inputs: int, seed: int) -> Account:
    """Give `target` hostile inputs."""
    account = Account(target.name, crashes=[])
    mutator = Mutator(target.seeds(), seed)
    before = 0
    with target.open(folder) as take, deadline(HANG_SECONDS):
        started = time.monotonic()
        for number in range(inputs):
            if number == int(inputs * WARM_UP_RATIO):
                before = resident_bytes()
            _give(take, mutator.next(), number, account)
            if len(account.crashes) >= 5:
                break
        account.seconds = time.monotonic() - started
        account.growth_bytes = max(0, resident_bytes() - before)
    return account


def _give(take: Callable[[bytes], None], data: bytes, number: int, account: Account) -> None:
    account.inputs += 1
    at = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
        take(data)
        account.taken += 1
    except REFUSALS:
        account.refused += 1
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        account.crashes.append(Crash(number, data, traceback.format_exc()))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    account.slowest_seconds = max(account.slowest_seconds, time.monotonic() - at)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise HangError in what runs longer."""

    def ring(*_: object) -> None:
        raise HangError(f"no answer within {seconds:g} s")

    old = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, old)


def resident_bytes() -> int:
    """Return this process's resident memory, garbage left out."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def limit_memory() -> None:
    """Let a reader that takes gigabytes fail instead of the machine."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def write_crashes(account: Account, folder: Path) -> list[Path]:
    """Keep the inputs that crashed, for a test of each."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for crash in account.crashes:
        file = (
            folder / f"{account.target.replace('/', '-').replace(' ', '-').replace(':', '')}-{crash.number}"
        )
        file.write_bytes(crash.data)
        file.with_suffix(".txt").write_text(crash.text)
        written.append(file)
    return written


def encode(account: Account) -> bytes:
    """Return an account without its inputs, for another process."""
    short = [Crash(each.number, b"", each.text[-2000:]) for each in account.crashes]
    return msgspec.json.encode(msgspec.structs.replace(account, crashes=short))
