"""The short form of `./scripts/chaos`: a fleet of real processes comes out whole; and what is broken is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.fleet import breakage, frames
from tests.chaos.fleet.faults import KINDS
from tests.chaos.fleet.run import Order, hurt
from tests.chaos.fleet.schedule import plan

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_lost_doubled_stuck_or_left_behind(tmp_path: Path) -> None:
    account = hurt(tmp_path, Order(faults=25, seed=7, boards=2, mean_wait_seconds=0.5, open_jobs=1))
    assert account.executions["SUCCEEDED"] > 0
    assert account.promised > 0
    assert account.whole, account


# What shows each variant soonest, how often, and the mean seconds between: time enough for work between two kills.
SHOWN_BY = {
    "ack before commit": (frozenset({"controller killed"}), 12, 6.0),
    "outbox emptied before ack": (frozenset({"messages lost", "broker killed, state lost"}), 20, 2.0),
    "no fencing": (frozenset({"old messages again"}), 20, 2.0),
}


@pytest.mark.long
@pytest.mark.parametrize("variant", breakage.VARIANTS)
def test_a_broken_variant_is_seen(tmp_path: Path, variant: str) -> None:
    only, faults, wait = SHOWN_BY[variant]
    order = Order(
        faults=faults,
        seed=7,
        boards=2,
        mean_wait_seconds=wait,
        only=only,
        variant=variant,
        settle_seconds=30.0,
    )
    account = hurt(tmp_path, order)
    assert account.executions.total() > 0
    assert account.lost or account.doubled or account.stuck, account


def test_a_seed_gives_one_schedule() -> None:
    weights = {name: kind.weight for name, kind in KINDS.items()}
    first, again, other = (plan(seed, weights, 3, 0.5) for seed in (7, 7, 8))
    drawn = [next(first) for _ in range(50)]
    assert drawn == [next(again) for _ in range(50)]
    assert drawn != [next(other) for _ in range(50)]


def test_packets_are_told_apart() -> None:
    publish = bytes([0x32, 7]) + b"\x00\x01t\x00\x09\x00x"
    ping = bytes([0xC0, 0])
    buffer = bytearray(publish + ping + publish[:4])
    assert frames.split(buffer) == [publish, ping]
    assert bytes(buffer) == publish[:4]
    assert frames.is_message(publish)
    assert not frames.is_message(ping)
    assert frames.acknowledge(publish) == bytes([0x40, 2, 0, 9])
    assert frames.again(publish)[0] == 0x3A
