"""Seconds to a verdict, and how often it is wrong: edgedyno against tools that give each cell a fixed share.

The sweep is the demo's for FastestDet: three precisions by one and two threads, and FP32 at one thread twice, so
that the truth of one comparison is known to be 1. Truth is a long race with seeds of its own. Every two cells are
compared with the sample job's margin; pairs whose true ratio is too near the margin to be told are left out.
Usage: python benchmarks/time_to_verdict.py [--truth-seconds S] [--repeats N] [--long-repeats N] [--long-seconds S]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pairs import Bench, Entry, clear, open_bench

from edgedyno.agent.measure.stopping import ratio_of
from edgedyno.controller.lab.files import ContentStore
from edgedyno.controller.lab.resolve import load_job, resolve_job
from edgedyno.controller.lab.variants import build_variants, needs_reduce_range
from edgedyno.controller.lab.verdict.comparisons import corrected_level

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgedyno.agent.measure.contender import Contender

JOB = Path(__file__).parent.parent / "profiles/edgedyno/profiles/jobs/fastestdet.yaml"
SHAPE = (1, 3, 352, 352)
BENCHMARK_MODEL_RUNS = 50
Sides = dict[tuple[str, str], str]


class Outcome(NamedTuple):
    """What one way said of each pair, and how long it took."""

    seconds: float
    said: Sides


def main() -> None:
    """Find the truth, let each way judge, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--truth-seconds", type=float, default=120.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--long-repeats", type=int, default=1, help="of the way with --long-seconds a cell")
    parser.add_argument("--long-seconds", type=float, default=60.0, help="benchmark_app's default is 60")
    options = parser.parse_args()
    spec = load_job(JOB)
    margin = spec.measure.precision
    with open_bench() as bench, bench.loaded(_entries(bench)) as contenders:
        halves = [_truth(bench, contenders, margin, options.truth_seconds / 2, seed) for seed in (1001, 1002)]
        truth = {pair: side for pair, side in halves[0].items() if side != "?" and halves[1][pair] == side}
        ways: dict[str, list[Outcome]] = {}
        for seed in range(options.repeats):
            ways.setdefault("edgedyno", []).append(
                _ours(bench, contenders, margin, spec.measure.max_seconds, seed)
            )
            ways.setdefault(f"{BENCHMARK_MODEL_RUNS} runs a cell", []).append(
                _fixed(contenders, margin, lambda _: BENCHMARK_MODEL_RUNS)
            )
        for _ in range(options.long_repeats):
            ways.setdefault(f"{options.long_seconds:g} s a cell", []).append(
                _fixed(contenders, margin, lambda each: round(options.long_seconds / each.median_seconds))
            )
    _table(ways, truth)


def _entries(bench: Bench) -> list[Entry]:
    store = ContentStore(bench.folder / "store")
    spec = load_job(JOB)
    resolved = resolve_job(spec, base=JOB.parent, store=store)
    variants = build_variants(
        resolved,
        store=store,
        precisions=spec.sweep.precisions,
        reduce_range=needs_reduce_range(bench.capabilities.cpu.features),
    )
    entries = [
        Entry(f"{variant.precision} x{threads}", Path(store.path(variant.file.sha256)), SHAPE, threads)
        for variant in variants
        if variant.file
        for threads in (1, 2)
    ]
    first = next(entry for entry in entries if entry.name == "fp32 x1")
    return [*entries, Entry("fp32 x1 again", first.path, SHAPE, 1)]


def _side(low: float, high: float, margin: float) -> str:
    if low > 1 + margin:
        return "slower"
    if high < 1 / (1 + margin):
        return "faster"
    return "same" if low >= 1 / (1 + margin) and high <= 1 + margin else "?"


def _judge(contenders: Sequence[Contender], margin: float) -> Sides:
    pairs = list(itertools.combinations(contenders, 2))
    alpha = 1 - corrected_level(len(pairs))
    said: Sides = {}
    for first, second in pairs:
        ratio = ratio_of(first.log, second.log, count_void=False, alpha=alpha)
        said[first.cell.trial, second.cell.trial] = _side(ratio.low, ratio.high, margin) if ratio else "?"
    return said


def _truth(bench: Bench, contenders: Sequence[Contender], margin: float, seconds: float, seed: int) -> Sides:
    clear(contenders)
    bench.race(contenders, seconds=seconds, seed=seed)
    return _judge(contenders, margin)


def _ours(bench: Bench, contenders: Sequence[Contender], margin: float, seconds: float, seed: int) -> Outcome:
    clear(contenders)
    began = time.monotonic()
    bench.race(contenders, seconds=seconds, seed=seed, precision=margin)
    return Outcome(time.monotonic() - began, _judge(contenders, margin))


def _fixed(contenders: Sequence[Contender], margin: float, runs: Callable[[Contender], int]) -> Outcome:
    """Give each cell its share, one after the other, and compare the medians as they are."""
    began = time.monotonic()
    medians: dict[str, float] = {}
    for contender in contenders:
        if contender.worker is None:
            raise SystemExit(f"the worker is gone: {contender.log.failure}")
        contender.move(contender.cell.cpus)
        count = runs(contender)
        answer = contender.worker.burst(count, count * contender.median_seconds)
        medians[contender.cell.trial] = statistics.median(answer.latency_seconds)
    said = {
        (a, b): _side(x / y, x / y, margin) for (a, x), (b, y) in itertools.combinations(medians.items(), 2)
    }
    return Outcome(time.monotonic() - began, said)


def _table(ways: dict[str, list[Outcome]], truth: Sides) -> None:
    print(f"{len(truth)} pairs whose truth is known: {dict(Counter(truth.values()))}\n")
    print(f"{'way':18} {'runs':>5} {'seconds':>8} {'right':>7} {'wrong':>7} {'cannot tell':>12}")
    for name, outcomes in ways.items():
        said = [(outcome.said[pair], side) for outcome in outcomes for pair, side in truth.items()]
        undecided = sum(word == "?" for word, _ in said)
        wrong = sum(word not in {"?", side} for word, side in said)
        total = max(1, len(said))
        seconds = statistics.median(outcome.seconds for outcome in outcomes)
        print(
            f"{name:18} {len(outcomes):5d} {seconds:8.1f} {(total - wrong - undecided) / total:7.1%} "
            f"{wrong / total:7.1%} {undecided / total:12.1%}"
        )


if __name__ == "__main__":
    main()
