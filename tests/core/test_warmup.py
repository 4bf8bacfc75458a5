"""The warm-up ends when latency no longer falls, and neither long before nor long after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedyno.core.statistics import is_warm

if TYPE_CHECKING:
    from collections.abc import Callable

PER_BLOCK = 3


def blocks_until_warm(level: Callable[[float], float], scatter: float, seed: int) -> int:
    rng = np.random.default_rng(seed)
    blocks: list[list[float]] = []
    while not is_warm(blocks):
        noise = np.exp(scatter * rng.standard_normal(PER_BLOCK))
        blocks.append((level(len(blocks)) * noise).tolist())
    return len(blocks)


def ends(level: Callable[[float], float], scatter: float = 0.01) -> list[int]:
    return sorted(blocks_until_warm(level, scatter, seed) for seed in range(60))


@pytest.mark.parametrize(("scatter", "latest"), [(0.0, 6), (0.01, 6), (0.05, 9), (0.12, 13)])
def test_what_does_not_fall_is_warm_soon(scatter: float, latest: int) -> None:
    assert ends(lambda _: 1.0, scatter)[56] <= latest


def test_what_rises_is_warm_soon() -> None:
    assert ends(lambda block: 1.2 if block > 4 else 1.0)[56] <= 7


@pytest.mark.parametrize(("height", "blocks"), [(0.5, 2), (0.5, 8), (1.0, 5)])
def test_little_of_an_exponential_fall_is_left(height: float, blocks: float) -> None:
    left = [height * np.exp(-end / blocks) for end in ends(lambda at: 1 + height * np.exp(-at / blocks))]
    assert sorted(left)[56] < 0.03


def test_there_is_a_floor_and_a_ceiling() -> None:
    assert not is_warm([[1.0] * 5] * 5)
    assert is_warm([[100.0 / (index + 1)] * 5 for index in range(60)])
    assert not is_warm([[100.0 / (index + 1)] * 5 for index in range(59)])
