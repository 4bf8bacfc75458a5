"""The short form of `./scripts/hostile`: every reader, some hundred hostile inputs each."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import pytest

from tests.hostile.campaign import attack
from tests.hostile.mutation import Mutator
from tests.hostile.targets import TARGETS

INPUTS = 150
# Memory for no more than what an input brings; a leak of one input each would be far above.
MOST_GROWTH_BYTES = 64 << 20


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_hostile_crashes_hangs_or_grows(name: str) -> None:
    inputs = max(20, int(INPUTS * min(1.0, TARGETS[name].weight)))
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="edgedyno-hostile-") as folder:
        try:
            account = attack(TARGETS[name], Path(folder), inputs=inputs, seed=7)
        finally:
            logging.disable(logging.NOTSET)
    assert not account.crashes, account.crashes[0].text + repr(account.crashes[0].data[:500])
    assert account.inputs == inputs
    assert account.refused + account.taken == inputs
    assert account.growth_bytes < MOST_GROWTH_BYTES


def test_a_seed_gives_the_same_inputs_again() -> None:
    seeds = [b'{"a": [1, 2, {"b": "c"}]}', b"\x00\x01\x02"]
    first, second, other = (Mutator(seeds, seed) for seed in (1, 1, 2))
    mine = [first.next() for _ in range(300)]
    assert mine == [second.next() for _ in range(300)]
    assert mine != [other.next() for _ in range(300)]
    assert len(set(mine)) > 200
