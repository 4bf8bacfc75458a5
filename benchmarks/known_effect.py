"""How surely a known amount of extra work is found, and whether the interval holds the truth.

The model is a stack of 100 equal convolutions; its variants have 103, 105 and 110, so they take 3, 5 and 10 %
longer by construction. Each pair is two fresh worker processes, raced as a job would.
Usage: python benchmarks/known_effect.py [--pairs N] [--seconds S]
"""

from __future__ import annotations

import argparse
import random
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from pairs import Bench, Entry, open_bench, ratio_between

if TYPE_CHECKING:
    from pathlib import Path

    from edgedyno.core.statistics import Ratio

LAYERS = 100
EFFECTS = (0, 3, 5, 10)
SHAPE = (1, 64, 16, 16)


def main() -> None:
    """Race each effect and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="for each effect")
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    found: dict[int, list[Ratio]] = {extra: [] for extra in EFFECTS}
    jobs = [(extra, seed) for seed in range(options.pairs) for extra in EFFECTS]
    random.Random(0).shuffle(jobs)  # drift of the machine must not look like an effect
    with open_bench() as bench:
        for extra in EFFECTS:
            write_stack(bench.folder / f"{LAYERS + extra}.onnx", LAYERS + extra)
        for extra, seed in jobs:
            if ratio := _race(bench, extra, seed, options.seconds):
                found[extra].append(ratio)
    print(f"{options.seconds:g} s a pair, model with {LAYERS} layers against more\n")
    print(f"{'truth':>7} {'pairs':>6} {'claimed':>8} {'holds':>6} {'median ratio':>13} {'half-width':>11}")
    for extra, ratios in found.items():
        _row(1 + extra / LAYERS, ratios)


def write_stack(path: Path, layers: int) -> None:
    """Write a model of equal layers that share one weight."""
    channels = SHAPE[1]
    weight = np.random.default_rng(0).normal(0, (2 / (9 * channels)) ** 0.5, (channels, channels, 3, 3))
    nodes = []
    for index in range(layers):
        before = "input" if index == 0 else f"relu{index - 1}"
        nodes.append(helper.make_node("Conv", [before, "weight"], [f"conv{index}"], pads=[1, 1, 1, 1]))
        after = "output" if index == layers - 1 else f"relu{index}"
        nodes.append(helper.make_node("Relu", [f"conv{index}"], [after]))
    graph = helper.make_graph(
        nodes,
        "stack",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(weight.astype(np.float32), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))


def _race(bench: Bench, extra: int, seed: int, seconds: float) -> Ratio | None:
    entries = [
        Entry("more", bench.folder / f"{LAYERS + extra}.onnx", SHAPE),
        Entry("base", bench.folder / f"{LAYERS}.onnx", SHAPE),
    ]
    with bench.loaded(entries) as (more, base):
        bench.race([more, base], seconds=seconds, seed=seed)
        return ratio_between(more, base)


def _row(truth: float, ratios: list[Ratio]) -> None:
    claimed = sum(ratio.excludes_one for ratio in ratios)
    holds = sum(ratio.low <= truth <= ratio.high for ratio in ratios)
    middle = sorted(ratio.value for ratio in ratios)[len(ratios) // 2]
    half = sorted(ratio.half_width for ratio in ratios)[len(ratios) // 2]
    print(f"{truth:7.3f} {len(ratios):6d} {claimed:8d} {holds:6d} {middle:13.4f} {half:11.2%}", flush=True)


if __name__ == "__main__":
    main()
