"""A result is void when too few of its rounds were quiet, or when most were not."""

from __future__ import annotations

import pytest

from edgedyno.agent.measure.rounds import judge_rounds


@pytest.mark.parametrize(
    ("quiet", "void", "enough", "reason"),
    [
        (10, 0, True, None),
        (1, 0, False, None),
        (10, 9, True, None),
        (10, 10, True, None),
        (9, 10, True, "10 of 19 rounds were void (bound 50%)"),
        (1, 1, False, "1 of 2 rounds were void: too few quiet ones are left"),
        (0, 3, False, "3 of 3 rounds were void: too few quiet ones are left"),
    ],
)
def test_rounds(quiet: int, void: int, enough: bool, reason: str | None) -> None:
    found = judge_rounds(quiet=quiet, void=void, enough_quiet=enough)
    assert found == ([reason] if reason else [])
