"""One file against itself, through the real race: how often a difference is claimed, how tight the ratio is.

Each pair is two fresh worker processes. A 95 % interval may exclude 1 in 5 % of the pairs.
Usage: python benchmarks/aa.py [MODEL.onnx] [--pairs N] [--seconds S] [--threads T]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pairs import FASTESTDET, Entry, open_bench, ratio_between

if TYPE_CHECKING:
    from edgedyno.core.statistics import Ratio

MARGIN = 0.03  # of the sample jobs: a verdict speaks of a difference only beyond it


def main() -> None:
    """Race the pairs and print how often a difference was claimed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=FASTESTDET)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--input", type=int, nargs="+", default=[1, 3, 352, 352], help="shape of the input")
    options = parser.parse_args()
    entries = [Entry(name, options.model, tuple(options.input), options.threads) for name in "AB"]
    ratios: list[Ratio] = []
    void = 0
    began = time.monotonic()
    with open_bench() as bench:
        for seed in range(options.pairs):
            with bench.loaded(entries) as (first, second):
                bench.race([first, second], seconds=options.seconds, seed=seed)
            if not any(burst.valid for burst in first.log.bursts):
                void += 1
                print(f"{seed + 1}: void", flush=True)
            elif ratio := ratio_between(first, second):
                ratios.append(ratio)
                _show(seed, ratio)
    _summarize(ratios, void, options.seconds, (time.monotonic() - began) / options.pairs)


def _show(seed: int, ratio: Ratio) -> None:
    word = "CLAIMED" if ratio.excludes_one else ""
    print(
        f"{seed + 1}: {ratio.value:.4f} ±{ratio.half_width:.2%} in {ratio.blocks} blocks {word}", flush=True
    )


def _summarize(ratios: list[Ratio], void: int, seconds: float, whole_seconds: float) -> None:
    logs = [math.log(ratio.value) for ratio in ratios] if len(ratios) > 1 else [0.0, 0.0]
    halves = sorted(ratio.half_width for ratio in ratios) or [float("nan")]
    excluded = sum(ratio.excludes_one for ratio in ratios)
    beyond = sum(ratio.low > 1 + MARGIN or ratio.high < 1 / (1 + MARGIN) for ratio in ratios)
    print(
        f"\n{len(ratios)} pairs, {void} void, {seconds:g} s each ({whole_seconds:.1f} s with loading)\n"
        f"interval excludes 1: {excluded} ({excluded / max(1, len(ratios)):.1%}; limit 5 %)\n"
        f"verdict speaks of a difference (margin {MARGIN:.0%}): {beyond}\n"
        f"half-width: median {halves[len(halves) // 2]:.2%}, worst {halves[-1]:.2%}; "
        f"spread of the ratios (twice their standard deviation): {2 * statistics.stdev(logs):.2%}"
    )


if __name__ == "__main__":
    main()
