"""How fine interleaving should be: what each way of comparing two workers of one file reaches in the same time.

Ways are tried in turn, several times; each gives the ratio of one file to itself, so the truth is 1, but for what
loading it twice changes (docs/method.md), which is in none of these intervals. Then what the switch between workers
costs, and whether ratios of inferences after a switch and of steady ones agree.
Usage: python benchmarks/interleaving.py [--seconds S] [--repeats N]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import random
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pairs import YOLOX_NANO, Bench, Entry, open_bench, ratio_of_processes

from edgedyno.agent.measure.contender import Shape
from edgedyno.agent.measure.placement import Placement
from edgedyno.core.statistics import Ratio, median_interval, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.agent.measure.contender import Contender

SHAPE = (1, 3, 416, 416)
TARGET = 0.01
MOST_SECONDS_TO_TARGET = 1e5


class Found(NamedTuple):
    """One comparison."""

    value: float
    half_width: float
    seconds: float


def main() -> None:
    """Try every way in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Found]] = {}
    with open_bench() as bench:
        for _ in range(options.repeats):
            for name, way in WAYS.items():
                ratio = way(bench, options.seconds)
                found.setdefault(name, []).append(Found(ratio.value, ratio.half_width, options.seconds))
        _table(found)
        _switching(bench, options.seconds)


def _table(found: dict[str, list[Found]]) -> None:
    print(f"{'way':44} {'ratio':>17} {'half-width':>11} {'s to ±1 %':>10}")
    for name, runs in found.items():
        half = statistics.median(run.half_width for run in runs)
        needed = min(MOST_SECONDS_TO_TARGET, runs[0].seconds * (half / TARGET) ** 2)
        values = f"{min(run.value for run in runs):.3f} to {max(run.value for run in runs):.3f}"
        print(f"{name:44} {values:>17} {half:11.2%} {needed:10.1f}", flush=True)


def _entries() -> list[Entry]:
    return [Entry(name, YOLOX_NANO, SHAPE) for name in "AB"]


def _race(bench: Bench, seconds: float, *, placement: Placement | None, shape: Shape | None) -> Ratio:
    with bench.loaded(_entries()) as contenders:
        for contender in contenders:
            contender.shape = shape or contender.shape
        bench.race(contenders, seconds=seconds, seed=time.monotonic_ns(), placement=placement)
    return ratio_of_processes(*contenders) or _NOTHING


_NOTHING = Ratio(1.0, math.exp(-20), math.exp(20), 0)


def _ours(bench: Bench, seconds: float) -> Ratio:
    return _race(bench, seconds, placement=None, shape=None)


def _dropping(bench: Bench, seconds: float) -> Ratio:
    return _race(bench, seconds, placement=None, shape=Shape(2, 1))


def _wandering(bench: Bench, seconds: float) -> Ratio:
    return _race(bench, seconds, placement=Placement([], bench.capabilities.core_sets["all"]), shape=None)


def _second_bursts(bench: Bench, seconds: float) -> Ratio:
    return _windows(bench, seconds, burst_seconds=1.0)


def _one_after_another(bench: Bench, seconds: float) -> Ratio:
    """Compare two windows as most tools do: the ratio of two medians, with the intervals that each has."""
    with bench.loaded(_entries()) as contenders:
        medians = []
        for contender in contenders:
            samples = _burst(contender, seconds / 2)
            medians.append(median_interval([[value] for value in samples]))
    a, b = medians
    if a is None or b is None:
        return _NOTHING
    half = math.hypot(a.relative_half_width, b.relative_half_width)
    value = a.value / b.value
    return Ratio(value, value * math.exp(-half), value * math.exp(half), 1)


def _windows(bench: Bench, seconds: float, *, burst_seconds: float) -> Ratio:
    blocks: dict[str, list[list[float]]] = {name: [] for name in "AB"}
    with bench.loaded(_entries()) as contenders:
        order = random.Random(0)
        for _ in range(max(8, round(seconds / burst_seconds / 2))):
            order.shuffle(contenders)
            for contender in contenders:
                blocks[contender.cell.trial].append(_burst(contender, burst_seconds))
    return paired_ratio(blocks["A"], blocks["B"])


def _burst(contender: Contender, seconds: float) -> list[float]:
    if contender.worker is None:
        raise SystemExit(f"the worker is gone: {contender.log.failure}")
    return contender.worker.burst(max(1, round(seconds / contender.median_seconds)), seconds).latency_seconds


def _one_process(bench: Bench, seconds: float) -> Ratio:
    """Alternate two sessions within one process on one CPU: the finest that can be, without isolation."""
    cpu = bench.capabilities.core_sets["all"][-1]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        first, second = pool.apply(alternate, (str(YOLOX_NANO), SHAPE, seconds, cpu))
    return paired_ratio([[value] for value in first], [[value] for value in second])


def alternate(path: str, shape: tuple[int, ...], seconds: float, cpu: int) -> tuple[list[float], list[float]]:
    """Run two sessions of one file in random order; return the seconds of both."""
    from edgedyno.agent.runtimes.base import LoadOptions
    from edgedyno.agent.runtimes.onnxruntime import OnnxRuntime

    os.sched_setaffinity(0, {cpu})
    sessions = [OnnxRuntime(), OnnxRuntime()]
    for session in sessions:
        session.load(LoadOptions(path, 1, 1, ""))
        session.bind([np.random.default_rng(0).random(shape, dtype=np.float32)])
        for _ in range(10):
            session.invoke()
    found: tuple[list[float], list[float]] = ([], [])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for side in random.sample((0, 1), 2):
            before = time.perf_counter_ns()
            sessions[side].invoke()
            found[side].append((time.perf_counter_ns() - before) / 1e9)
    return found


WAYS: dict[str, Callable[[Bench, float], Ratio]] = {
    "edgedyno: single inferences, on one CPU a round": _ours,
    "the same, every other inference dropped": _dropping,
    "the same as the first, CPUs left to the kernel": _wandering,
    "one process, alternating (no isolation)": _one_process,
    "bursts of 1 s": _second_bursts,
    "one window after another": _one_after_another,
}


def _switching(bench: Bench, seconds: float) -> None:
    """Show what a switch costs, and the ratio of two threads to one by both kinds of inferences."""
    entries = [Entry("one", YOLOX_NANO, SHAPE), Entry("two", YOLOX_NANO, SHAPE, threads=2)]
    with bench.loaded(entries) as contenders:
        for contender in contenders:
            contender.shape = Shape(2, 0)
        bench.race(contenders, seconds=seconds, seed=1)
    print("\nbursts of two inferences, all on the way of the first line above:")
    for contender in contenders:
        bursts = [burst.latency_seconds for burst in contender.log.bursts if burst.valid]
        cost = median_interval([[first - second] for first, second in bursts])
        if cost:
            steady = statistics.median(second for _, second in bursts)
            print(
                f"  {contender.cell.threads} thread(s): the first takes {cost.value * 1e3:+.3f} ms "
                f"({cost.low * 1e3:+.3f} to {cost.high * 1e3:+.3f}) more, {cost.value / steady:+.2%}"
            )
    for index, name in enumerate(("first (after a switch)", "second (steady)")):
        ratio = paired_ratio(*(_column(contender, index) for contender in contenders))
        print(f"  1 thread over 2 by the {name}: {ratio.value:.4f} ±{ratio.half_width:.2%}")


def _column(contender: Contender, index: int) -> list[list[float]]:
    return [[burst.latency_seconds[index]] for burst in contender.log.bursts]


if __name__ == "__main__":
    main()
