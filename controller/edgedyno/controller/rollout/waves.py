"""Divides the boards of a job into waves. Pure; which wave may run is decided elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from edgedyno.controller.rollout.targets import check_groups, choose
from edgedyno.core.errors import UnsupportedError
from edgedyno.core.targets import BoardSelector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedyno.controller.store.boards import Board
    from edgedyno.core.rollout import Rollout, Size


def divide(
    boards: Sequence[Board], rollout: Rollout | None, groups: Mapping[str, BoardSelector]
) -> list[list[str]]:
    """Return the waves of a job: boards that are online come first, then by name.

    Raises UnsupportedError when the canary is chosen by a selector that means none of the boards.
    """
    order = [board.board for board in sorted(boards, key=lambda board: (not board.online, board.board))]
    if rollout is None:
        return [order]
    ends: list[int] = []
    if isinstance(rollout.canary, BoardSelector):
        canary = _chosen(boards, rollout.canary, groups)
        order = [*(name for name in order if name in canary), *(n for n in order if n not in canary)]
        ends.append(len(canary))
    elif rollout.canary is not None:
        ends.append(count_of(rollout.canary, len(order)))
    ends += [count_of(size, len(order)) for size in rollout.waves]
    return _cut(order, [*ends, len(order)])


def count_of(size: Size, total: int) -> int:
    """Return how many boards a size is: shares are rounded up, and nothing is more than all."""
    if isinstance(size, int):
        return min(size, total)
    # A share such as 10 % of 30 must not become 4 by the last bit of a float.
    return min(math.ceil(float(size.strip().rstrip("%")) * total / 100 - 1e-9), total)


def _chosen(boards: Sequence[Board], wanted: BoardSelector, groups: Mapping[str, BoardSelector]) -> set[str]:
    check_groups(wanted, groups, "rollout.canary")
    chosen = {board.board for board in choose(boards, wanted, groups).chosen}
    if not chosen:
        raise UnsupportedError(
            f"rollout.canary: none of the job's boards matches {msgspec.json.encode(wanted).decode()}; they are "
            f"{', '.join(board.board for board in boards[:10])}",
            code="rollout.canary",
        )
    return chosen


def _cut(order: list[str], ends: list[int]) -> list[list[str]]:
    """Cut at growing ends; one that brings no new board makes no wave."""
    waves: list[list[str]] = []
    begin = 0
    for end in ends:
        if end > begin:
            waves.append(order[begin:end])
            begin = end
    return waves or [[]]


def wave_of_newcomer(sizes: Sequence[int], rollout: Rollout | None) -> int:
    """Return the wave of a board that comes to a job later: the last, but first a canary has to be there."""
    if rollout is None or (rollout.canary is None and not rollout.waves):
        return 0
    if len(sizes) > 1:
        return len(sizes) - 1
    first = rollout.canary if rollout.canary is not None else rollout.waves[0]
    wanted = first if isinstance(first, int) else 1
    return int(sum(sizes) >= wanted)
