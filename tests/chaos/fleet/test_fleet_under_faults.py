"""The short form of `./scripts/chaos`: a fleet of real processes comes out whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.fleet import frames
from tests.chaos.fleet.run import hurt

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", [7])
def test_nothing_is_lost_doubled_stuck_or_left_behind(tmp_path: Path, seed: int) -> None:
    account = hurt(tmp_path, faults=25, seed=seed, boards=2)
    assert account.executions["SUCCEEDED"] > 0
    assert account.whole, account


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
