"""How well the adaptive search does on large sweeps, by simulation: share of the optimum, cells tried.

Each landscape gives the true latency of every cell of a sweep over a board of 128 CPUs in four memory nodes
(or of a phone-like board with slow little cores); each measurement adds noise of 3 %. A full sweep gets the
same noise, so what it picks is not always the best either. No timing happens here: figures repeat exactly.
Usage: python benchmarks/search.py [--runs N]
"""

from __future__ import annotations

import argparse
import random
import statistics
from typing import TYPE_CHECKING, NamedTuple

from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.search import Observed, Search
from edgedyno.core.manifest import ArtifactRef, Variant

if TYPE_CHECKING:
    from collections.abc import Callable

NOISE = 0.03
FINAL_NOISE = 0.01  # the final race is longer, and its trials share their blocks
GROUP = 15
CELL_SECONDS = 6.0
BUDGET_SECONDS = 600.0
PRECISIONS = {"fp32": 1.0, "fp16": 0.8, "int8": 0.6}
THREADS = [1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128]


class Board(NamedTuple):
    """A board's core sets, as its topology would name them."""

    sets: dict[str, list[int]]


SERVER = Board(
    {
        "all": list(range(128)),
        **{f"node{node}": list(range(32 * node, 32 * node + 32)) for node in range(4)},
        **{f"cluster{index}": list(range(4 * index, 4 * index + 4)) for index in range(32)},
    }
)
PHONE = Board({"all": list(range(8)), "little": [0, 1, 2, 3], "big": [4, 5, 6, 7]})


def amdahl(threads: int, parallel: float) -> float:
    """Return the time of one inference in units of one thread's."""
    return 1 - parallel + parallel / threads


def numa(cell: Cell) -> float:
    """Amdahl, with a price for each thread that waits at barriers, higher across nodes."""
    nodes = len({cpu // 32 for cpu in cell.cpus})
    spread = 1.0 if nodes == 1 else 1.0 + 0.35 * min(1.0, cell.threads / 32)
    return amdahl(cell.threads, 0.97) * spread + 0.0008 * cell.threads


def dip(cell: Cell) -> float:
    """One thread count in the middle is a third slower: a tile size that does not divide (as in the ncnn table)."""
    return numa(cell) * (1.33 if cell.threads in (11, 12, 16) else 1.0)


def second_valley(cell: Cell) -> float:
    """Be slow between 8 and 28 threads, and good again beyond."""
    hump = 1.3 if 8 < cell.threads < 28 else 1.0
    return amdahl(cell.threads, 0.93) * hump + 0.0006 * cell.threads


def plateau(cell: Cell) -> float:
    """Memory bound from eight threads on."""
    return max(amdahl(cell.threads, 0.99), amdahl(8, 0.99)) + 0.0001 * cell.threads


def slow_int8(cell: Cell) -> float:
    """INT8 scales worse: it wins at few threads and loses at many."""
    scaling = 0.85 if cell.variant.precision == "int8" else 0.98
    return amdahl(cell.threads, scaling) + 0.0005 * cell.threads


def big_little(cell: Cell) -> float:
    """Threads on little cores take 2.5 times as long, and everyone waits for the slowest."""
    bigs = sum(cpu >= 4 for cpu in cell.cpus)
    slowest = 1.0 if cell.threads <= bigs and bigs == len(cell.cpus) else 2.5
    return (amdahl(cell.threads, 0.9)) * (slowest if cell.threads > 1 or bigs == 0 else 1.0)


LANDSCAPES: dict[str, tuple[Board, Callable[[Cell], float]]] = {
    "Amdahl, NUMA": (SERVER, numa),
    "a dip": (SERVER, dip),
    "second valley": (SERVER, second_valley),
    "plateau": (SERVER, plateau),
    "INT8 scales worse": (SERVER, slow_int8),
    "big.LITTLE": (PHONE, big_little),
}


def make_cells(board: Board, runtimes: int = 2) -> list[Cell]:
    """Return the cells of a full sweep."""
    cells: dict[str, Cell] = {}
    for runtime in range(runtimes):
        for precision in PRECISIONS:
            for cores, cpus in board.sets.items():
                for threads in sorted({min(each, len(cpus)) for each in THREADS}):
                    name = f"{runtime}/{precision}/{cores}/{threads}"
                    cells[name] = Cell(
                        trial=name,
                        variant=Variant(precision, "onnx", ArtifactRef(precision.ljust(64, "0"), 1)),  # type: ignore[arg-type]
                        runtime=f"runtime{runtime}",
                        runtime_version="1",
                        environment="default",
                        threads=threads,
                        cores=cores,
                        cpus=cpus,
                        batch=1,
                        scenario="single-stream",
                    )
    return list(cells.values())


class Outcome(NamedTuple):
    """What one simulated run found."""

    tried: int
    cells: int
    loss: float
    """True latency of what was picked, over the true optimum."""
    full_loss: float
    worst_family_loss: float
    """The same for the variant and runtime that came out worst against its own optimum."""


def simulate(board: Board, landscape: Callable[[Cell], float], seed: int) -> Outcome:
    """Search one landscape once, and try all of it once, with the same noise."""
    cells = make_cells(board)
    chance = random.Random(seed)
    runtime_factor = {"runtime0": 1.0, "runtime1": chance.uniform(0.7, 1.4)}
    truth = {
        cell.trial: landscape(cell) * PRECISIONS[cell.variant.precision] * runtime_factor[cell.runtime]
        for cell in cells
    }

    def measure(cell: Cell, noise: float = NOISE) -> Observed:
        cost = truth[cell.trial] * chance.lognormvariate(0, noise)
        return Observed(cost, CELL_SECONDS, CELL_SECONDS)

    search = Search(cells, BUDGET_SECONDS, random.Random(seed))
    measured: dict[str, Observed] = {}
    while waiting := search.next_cells(measured):
        measured |= {cell.trial: measure(cell) for cell in waiting[:GROUP]}
    finals = {cell.trial: measure(cell, FINAL_NOISE) for cell in search.finalists(measured)} or measured
    full = {cell.trial: measure(cell) for cell in cells}
    best = min(truth.values())
    return Outcome(
        len(measured),
        len(cells),
        truth[_pick(finals)] / best,
        truth[_pick(full)] / best,
        max(_family_losses(cells, truth, finals, measured)),
    )


def _pick(seen: dict[str, Observed]) -> str:
    return min(seen, key=lambda trial: seen[trial].cost or 0.0)


def _family_losses(
    cells: list[Cell], truth: dict[str, float], finals: dict[str, Observed], measured: dict[str, Observed]
) -> list[float]:
    """Return each variant's loss on each runtime; one that is too slow for the final goes by what came before."""
    families: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        families.setdefault((cell.runtime, cell.variant.precision), []).append(cell.trial)
    return [
        truth[_pick(_of(trials, finals) or _of(trials, measured))] / min(truth[trial] for trial in trials)
        for trials in families.values()
    ]


def _of(trials: list[str], seen: dict[str, Observed]) -> dict[str, Observed]:
    return {trial: seen[trial] for trial in trials if trial in seen}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print(
        f"{runs} runs each; noise {NOISE:.0%}, {FINAL_NOISE:.0%} in the final race; {CELL_SECONDS:g} s a cell"
    )
    print("landscape          cells tried  within 3% full sweep  loss p95  every variant within 3%")
    for name, (board, landscape) in LANDSCAPES.items():
        seen = [simulate(board, landscape, seed) for seed in range(runs)]
        losses = sorted(each.loss for each in seen)
        print(
            f"{name:18} {seen[0].cells:5} {statistics.fmean(each.tried for each in seen):5.0f}  "
            f"{sum(loss <= 1.03 for loss in losses) / runs:9.0%} "
            f"{sum(each.full_loss <= 1.03 for each in seen) / runs:10.0%}  "
            f"{losses[int(0.95 * runs)] - 1:8.1%}  "
            f"{sum(each.worst_family_loss <= 1.03 for each in seen) / runs:.0%}"
        )


if __name__ == "__main__":
    main()
