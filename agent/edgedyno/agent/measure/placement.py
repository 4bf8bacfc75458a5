"""Which of its cores a trial runs on in each round, and where the runner waits meanwhile.

A thread that may wander over a core set wanders between two inferences, and pays for it: two workers of one
file on one CPU told a ratio to within 1 % in 2 to 6 s, the same two on two CPUs that they could wander over
took 23 to 34 s (docs/method.md). So a trial with fewer threads than CPUs gets as many CPUs as it has threads,
the same ones for all trials of a round, and the next ones in the next round: every CPU of the set has its turn.
Only CPUs that are alike take turns; a set of unlike cores is left to the kernel, as it is in deployment.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgedyno.agent.host.siblings import physical_first

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from edgedyno.agent.measure.planner import Cell
    from edgedyno.core.board import Capabilities


class Placement:
    """Turns of the core sets of one board."""

    def __init__(self, alike: Sequence[Sequence[int]], board: Sequence[int]) -> None:
        """Take the groups of interchangeable CPUs, each in the order of use, and all CPUs of the board."""
        self._alike = [list(group) for group in alike]
        self._board = set(board)

    def cpus(self, cell: Cell, turn: int) -> list[int]:
        """Return where a trial runs in this turn."""
        allowed = set(cell.cpus)
        for group in self._alike:
            ring = [cpu for cpu in group if cpu in allowed]
            if len(ring) == len(allowed) and 0 < cell.threads < len(ring):
                start = turn % len(ring)
                return sorted((ring + ring)[start : start + cell.threads])
        return list(cell.cpus)

    def spare(self, cells: Sequence[Cell], turn: int) -> set[int]:
        """Return where the runner should be: off every trial's CPUs, else off those of the smallest trial."""
        places = sorted((set(self.cpus(cell, turn)) for cell in cells), key=len)
        off_all = self._board.difference(*places)
        return off_all or self._board - (places[0] if places else set())


def read_placement(capabilities: Capabilities, root: Path = Path("/")) -> Placement:
    """Group a board's CPUs by core, size and memory node."""
    sets = capabilities.core_sets
    cores = {cpu: cluster.core for cluster in capabilities.cpu.clusters for cpu in cluster.cpus}
    special = [name for name in sets if name in {"big", "little"} or name.startswith("node")]
    board = sorted(set(cores) | {cpu for cpus in sets.values() for cpu in cpus})
    groups: dict[object, list[int]] = {}
    for cpu in physical_first(root, board):
        key = (cores.get(cpu), *(cpu in sets[name] for name in special))
        groups.setdefault(key, []).append(cpu)
    return Placement(list(groups.values()), board)


@contextmanager
def restored_affinity() -> Iterator[None]:
    """Give this process back the CPUs that it had."""
    before = os.sched_getaffinity(0)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move_runner(spare: Collection[int]) -> None:
    """Keep this process to `spare`, where it may be there at all."""
    usable = set(spare) & _ALLOWED
    if usable:
        os.sched_setaffinity(0, usable)


_ALLOWED = os.sched_getaffinity(0)
