"""When which fault comes, on which board, for how long: drawn from the seed before anything runs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHORT_SECONDS, MIDDLE_SECONDS, LONG_SECONDS = 0.2, 5.0, 40.0
LONG_SHARE = 0.02


class Planned(Struct, frozen=True):
    """One fault to come."""

    wait_seconds: float
    """After the one before it."""
    kind: str
    board: int
    """Where to begin to look for a board that it can happen to."""
    lasts_seconds: float
    draw: int
    """Seed of what else it has to choose."""


def plan(seed: int, weights: Mapping[str, float], boards: int, mean_wait_seconds: float) -> Iterator[Planned]:
    """Yield faults for ever; the same for the same arguments."""
    chance = random.Random(seed)
    kinds, shares = list(weights), list(weights.values())
    while True:
        long = chance.random() < LONG_SHARE
        yield Planned(
            wait_seconds=round(min(4 * mean_wait_seconds, chance.expovariate(1 / mean_wait_seconds)), 3),
            kind=chance.choices(kinds, shares)[0],
            board=chance.randrange(boards),
            lasts_seconds=round(chance.uniform(SHORT_SECONDS, LONG_SECONDS if long else MIDDLE_SECONDS), 3),
            draw=chance.randrange(1 << 30),
        )
