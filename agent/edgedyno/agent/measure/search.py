"""Which cells of a large sweep to try next, and what to say of those that were not tried; pure.

A sweep of 128 CPUs, four memory nodes and three precisions has hundreds of cells; the time for measuring
settles a few dozen. What is tried is found in stages: a coarse grid for one variant on each runtime, then
halved gaps around its best, then the other variants near that best with a check of their own. Every call
works out the stage from what has been measured, and chance enters once, at the start: a run that was
interrupted goes on the same way from its journal. Not responsible for how a cell is measured.

What is found is the best of those tried: latency over threads has more than one valley in 250 of 1,682
series of the public ncnn table, so the ends and a random probe of every grid are always among them.
"""

from __future__ import annotations

import math
import re
from itertools import zip_longest
from typing import TYPE_CHECKING

from msgspec import Struct

from edgedyno.core.manifest import Failure
from edgedyno.core.units import format_seconds

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping, Sequence

    from edgedyno.agent.measure.planner import Cell

# Of the time before the final race: the coarse grid ends at the first, the halving at the second, and the rest
# is for the other variants. By simulation (benchmarks/search.py): without shares a short time gave them none.
COARSE_SHARE = 0.45
REFINED_SHARE = 0.75
WHOLE_CELLS = 16  # as many as one race holds: these are tried without asking how long it takes
FINAL_SHARE = 0.25  # of the time: for racing the best of each variant once more, side by side
FINAL_RATIO = (
    3.0  # what was this much slower in a race of its own is slower: conditions never made a factor of 3
)
RIVAL_RATIO = 1.1  # a core set whose best is this near to the best of all may still win
RIVAL_LINES = 3
ALIKE_TRIED = 2  # of core sets of one kind and size, such as 32 clusters: the first and a random other
PROBES = 2  # random cells of each leading variant, beside the grid
ROUGH_CELLS = 3  # a core set with no more of them tried is halved once more before it is dismissed
SAME_THREADS_RATIO = 1.04  # thread counts nearer than this cannot differ by more, at best
GROUPS_TO_COME = 4  # races: the one at hand, and then usually around the best, other variants, the final


class Observed(Struct, frozen=True):
    """What has been measured of one cell; `cost` is None for one that failed."""

    cost: float | None
    """Latency in units of the reference trial's, from common blocks where there are any."""
    spent_seconds: float
    needed_seconds: float
    """What the job's precision takes in all, as extrapolated from what was spent."""


class Search:
    """The order in which the cells of one execution are tried."""

    def __init__(self, cells: Iterable[Cell], budget_seconds: float, order: random.Random) -> None:
        self._cells = list(cells)
        self._budget_seconds = budget_seconds
        self._rank = {cell.trial: order.random() for cell in self._cells}
        families: dict[tuple[object, ...], list[Cell]] = {}
        for cell in self._cells:
            families.setdefault(_family_key(cell), []).append(cell)
        self._families = [_Family(members) for members in families.values()]

    def next_cells(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return what to race next, most telling first; empty when the search is over."""
        untried = [cell for cell in self._cells if cell.trial not in measured]
        if not self.may_leave_out:
            return untried
        first = self.unsampled(measured)
        if not first and self._fits(untried, measured):
            return untried
        stages = ((self._coarse, COARSE_SHARE), (self._refined, REFINED_SHARE), (self._followed, 1.0))
        for stage, share in stages:
            cells = self._affordable(stage(measured), measured, share=share, taken=len(first))
            if first or cells:
                return first + [cell for cell in cells if cell not in first]
        return []

    def unsampled(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return the cells that are tried even when time is short: one of each variant on each runtime."""
        return _missing([family.sample() for family in self._families], measured)

    def finalists(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return the best of each variant and runtime and who came near, for one race side by side.

        What is far slower than the best needs no such race to be told from it, and slow runtimes load slowly.
        """
        if not self.may_leave_out:
            return []
        ranked = [cells for family in self._families if (cells := family.ranked(measured))]
        least = min((_cost(cells[0], measured) / cells[0].batch for cells in ranked), default=math.inf)
        places: list[tuple[bool, float, Cell]] = []
        for cells in ranked:
            best = _cost(cells[0], measured)
            if best / cells[0].batch > FINAL_RATIO * least:
                continue
            for place, cell in enumerate(cells):
                ratio = _cost(cell, measured) / best
                if ratio <= RIVAL_RATIO:
                    places.append((place > 0, ratio if place else best / cell.batch, cell))
        places.sort(key=lambda each: each[:2])
        return [cell for _, _, cell in places[:WHOLE_CELLS]]

    @property
    def may_leave_out(self) -> bool:
        """Whether the sweep is too large to be tried in full without asking how long that takes."""
        return len(self._cells) > WHOLE_CELLS

    @property
    def groups_to_come(self) -> int:
        """How many races the time has to be divided into, the one at hand included, beside those that wait."""
        if not self.may_leave_out:
            return 1
        return GROUPS_TO_COME if any(len(family.cells) > 1 for family in self._families) else 2

    def untried(self, measured: Mapping[str, Observed]) -> list[tuple[Cell, Failure]]:
        """Return the cells that were left out, each with the reason."""
        return [
            (cell, Failure("search.not_tried", self._why_not(cell, family, measured)))
            for family in self._families
            for cell in family.cells
            if cell.trial not in measured
        ]

    # -- stages

    def _coarse(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Give each leader's grid: ends and middle of telling core sets, and its random probes.

        One thread is tried on the largest set only: elsewhere the middle tells whether the cores are slow.
        """
        grids: list[list[Cell]] = []
        for family in self._leaders(measured):
            lines = family.telling_lines(self._rank)
            probes = sorted(family.cells, key=lambda cell: self._rank[cell.trial])[:PROBES]
            tops, middles = [line[-1] for line in lines], [_middle(line) for line in lines]
            grids.append(_missing([*tops, *middles, lines[0][0], *probes], measured))
        return [cell for layer in zip_longest(*grids) for cell in layer if cell is not None]

    def _refined(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Halve the gaps around each leader's best."""
        cells: list[Cell] = []
        for family in self._leaders(measured):
            bests = [*family.rival_bests(measured), *family.roughly_known(measured)]
            cells += family.around(bests, measured)
        return _missing(cells, measured)

    def _followed(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Try the other families where their leader was best, at the ends there, then around their own best."""
        cells: list[Cell] = []
        for leader in self._leaders(measured):
            for family in self._families:
                if family is leader or family.engine != leader.engine or family.has_failed(measured):
                    continue
                seeds = _missing(family.seeds(leader, measured), measured)
                cells += seeds or family.around(family.rival_bests(measured), measured)
        return _missing(cells, measured)

    def _leaders(self, measured: Mapping[str, Observed]) -> list[_Family]:
        """Return for each engine the first family that works."""
        leaders: dict[tuple[object, ...], _Family] = {}
        for family in self._families:
            if not family.has_failed(measured):
                leaders.setdefault(family.engine, family)
        return list(leaders.values())

    # -- time

    def _left_seconds(self, measured: Mapping[str, Observed], share: float = 1.0) -> float:
        spent = sum(seen.spent_seconds for seen in measured.values())
        return self._budget_seconds * (1 - FINAL_SHARE) * share - spent

    def _fits(self, untried: Sequence[Cell], measured: Mapping[str, Observed]) -> bool:
        """Return whether all that is left can be measured to the job's precision."""
        needed = [seen.needed_seconds for seen in measured.values() if seen.cost is not None]
        if not needed:
            return False
        return len(untried) * sum(needed) / len(needed) <= self._left_seconds(measured)

    def _affordable(
        self, cells: list[Cell], measured: Mapping[str, Observed], *, share: float, taken: int
    ) -> list[Cell]:
        """Keep the first of `cells`, as many as this share of the time allows at the pace so far."""
        spent = [seen.spent_seconds for seen in measured.values() if seen.cost is not None]
        if not spent or sum(spent) <= 0:
            return cells
        pace = sum(spent) / len(spent)
        return cells[: max(0, int(self._left_seconds(measured, share) / pace) - taken)]

    # -- words

    def _why_not(self, cell: Cell, family: _Family, measured: Mapping[str, Observed]) -> str:
        tried = [each for each in family.cells if each.trial in measured]
        text = (
            f"not tried: the sweep has {len(self._cells)} cells, and {format_seconds(self._budget_seconds)} "
            f"is not enough for all; {len(tried)} of {len(family.cells)} of this variant, runtime and batch "
            "were tried"
        )
        ranked = family.ranked(measured)
        if not tried:
            return text
        if not ranked:
            return f"{text}, and none of them worked"
        return f"{text}; {_nearby(cell, family, measured)}; the best of those tried: {_place(ranked[0])}"


class _Family:
    """Cells that differ in cores and threads only: one variant on one runtime with one batch size."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = list(cells)
        first = cells[0]
        self.engine = (first.runtime, first.runtime_version, first.environment)
        lines: dict[str, list[Cell]] = {}
        for cell in cells:
            lines.setdefault(cell.cores, []).append(cell)
        for line in lines.values():
            line.sort(key=lambda cell: cell.threads)
        self.lines = dict(sorted(lines.items(), key=lambda item: -len(item[1][0].cpus)))
        """By core set, the largest first; threads ascending."""

    def sample(self) -> Cell:
        """Return the one cell that is tried in any case."""
        return _middle(next(iter(self.lines.values())))

    def telling_lines(self, rank: Mapping[str, float]) -> list[list[Cell]]:
        """Leave out all but two of the core sets of one kind and size: the first and a random other."""
        kinds: dict[tuple[str, int], list[list[Cell]]] = {}
        for line in self.lines.values():
            kinds.setdefault(_kind(line[0]), []).append(line)
        telling: list[list[Cell]] = []
        alike: list[list[Cell]] = []
        for first, *others in kinds.values():
            others.sort(key=lambda line: rank[line[0].trial])
            telling.append(first)
            alike += others[: ALIKE_TRIED - 1]
        return telling + alike

    def has_failed(self, measured: Mapping[str, Observed]) -> bool:
        """Return whether cells were tried and none worked."""
        seen = [measured[cell.trial] for cell in self.cells if cell.trial in measured]
        return bool(seen) and all(each.cost is None for each in seen)

    def ranked(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return the cells that worked, best first."""
        worked = [cell for cell in self.cells if math.isfinite(_cost(cell, measured))]
        return sorted(worked, key=lambda cell: _cost(cell, measured))

    def _bests(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return the best cell of each kind of core set, best first."""
        bests: dict[tuple[str, int], Cell] = {}
        for cell in self.ranked(measured):
            bests.setdefault(_kind(cell), cell)
        return list(bests.values())

    def rival_bests(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return those of the bests that may still win."""
        bests = self._bests(measured)
        bound = RIVAL_RATIO * _cost(bests[0], measured) if bests else 0.0
        return [cell for cell in bests if _cost(cell, measured) <= bound][:RIVAL_LINES]

    def roughly_known(self, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return the bests of long core sets of which only the coarse grid was tried: too little to dismiss."""
        return [
            best
            for best in self._bests(measured)
            if len(line := self.lines[best.cores]) > 2 * ROUGH_CELLS
            and sum(cell.trial in measured for cell in line) <= ROUGH_CELLS
        ]

    def around(self, bests: Iterable[Cell], measured: Mapping[str, Observed]) -> list[Cell]:
        """Return the middles of the untried gaps on both sides of each of `bests`."""
        cells: list[Cell] = []
        for best in bests:
            line = self.lines[best.cores]
            place = line.index(best)
            below = line[_next_tried(line, place, -1, measured) + 1 : place]
            above = line[place + 1 : _next_tried(line, place, +1, measured)]
            cells += [_middle(gap) for gap in (below, above) if gap and _matters(gap, best)]
        return cells

    def seeds(self, leader: _Family, measured: Mapping[str, Observed]) -> list[Cell]:
        """Return the cells at the leader's bests, and the ends of the best core set."""
        bests = leader.rival_bests(measured)
        places = {(cell.cores, cell.threads): cell for cell in self.cells}
        cells = [places[at] for best in bests if (at := (best.cores, best.threads)) in places]
        if cells:
            line = self.lines[cells[0].cores]
            cells += [line[-1], line[0]]
        return cells


def _family_key(cell: Cell) -> tuple[object, ...]:
    what = (cell.variant_sha256, cell.variant.precision, cell.variant.format)
    return (*what, cell.runtime, cell.runtime_version, cell.environment, cell.batch, cell.scenario)


def _kind(cell: Cell) -> tuple[str, int]:
    """Return what a cell's core set has in common with others of its kind: `node` and its size for `node3`."""
    match = re.fullmatch(r"(cluster|node)\d+", cell.cores)
    return match[1] if match else cell.cores, len(cell.cpus)


def _middle(line: Sequence[Cell]) -> Cell:
    """Return the cell nearest to the geometric middle of a line's thread counts."""
    middle = math.sqrt(line[0].threads * line[-1].threads)
    return min(line, key=lambda cell: abs(math.log(cell.threads / middle)))


def _next_tried(line: Sequence[Cell], place: int, step: int, measured: Mapping[str, Observed]) -> int:
    """Return the index of the next cell on one side that was tried; one beyond the end where there is none."""
    place += step
    while 0 <= place < len(line) and line[place].trial not in measured:
        place += step
    return place


def _matters(gap: Sequence[Cell], best: Cell) -> bool:
    """Return whether the gap's middle has a thread count that differs from the best's enough to matter."""
    ratio = _middle(gap).threads / best.threads
    return max(ratio, 1 / ratio) >= SAME_THREADS_RATIO


def _missing(cells: Iterable[Cell], measured: Mapping[str, Observed]) -> list[Cell]:
    """Return each cell that is not measured, once."""
    return list({cell.trial: cell for cell in cells if cell.trial not in measured}.values())


def _cost(cell: Cell, measured: Mapping[str, Observed]) -> float:
    seen = measured.get(cell.trial)
    return math.inf if seen is None or seen.cost is None else seen.cost


def _place(cell: Cell) -> str:
    return f"{cell.threads} thread{'s' * (cell.threads != 1)} on {cell.cores!r}"


def _nearby(cell: Cell, family: _Family, measured: Mapping[str, Observed]) -> str:
    """Say what was tried nearest to a cell, and how it compares with the best."""
    best = _cost(family.ranked(measured)[0], measured)
    worked = [each for each in family.lines[cell.cores] if math.isfinite(_cost(each, measured))]
    if not worked:
        alike = [name for name, line in family.lines.items() if _kind(line[0]) == _kind(cell)]
        tried = [name for name in alike if any(each.trial in measured for each in family.lines[name])]
        stands = f"; {', '.join(tried)} stood for its kind" if tried else ""
        return f"nothing worked or was tried on {cell.cores!r}{stands}"
    worked.sort(key=lambda each: abs(math.log(each.threads / cell.threads)))
    slower = [
        f"{each.threads} thread{'s' * (each.threads != 1)} ({_cost(each, measured) / best:.2f} times the best)"
        for each in sorted(worked[:2], key=lambda each: each.threads)
    ]
    return f"nearest on {cell.cores!r}: {' and '.join(slower)}"
