"""One file against itself, through the real race: how often a difference is claimed, how tight the ratio is.

Each pair is two fresh worker processes. A 95 % interval may exclude 1 in 5 % of the pairs.
Usage: python benchmarks/aa.py [MODEL.onnx] [--pairs N] [--seconds S] [--threads T]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from edgedyno.agent.environments import find_plugins, probe_all
from edgedyno.agent.measure.contender import Contender
from edgedyno.agent.measure.journal import TrialLog
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.race import Race, is_hopeless
from edgedyno.agent.measure.stopping import groups_of, ratio_of
from edgedyno.agent.measure.supervisor import Launch
from edgedyno.agent.measure.validity import Watch
from edgedyno.core.manifest import ArtifactRef, Variant
from edgedyno.core.statistics import Ratio, median_interval

DEFAULT = (
    Path(__file__).parent.parent
    / "profiles/edgedyno/profiles/samples/models/fastestdet/FastestDet_352_fp32.onnx"
)


def make_cell(name: str, path: Path, threads: int) -> Cell:
    """Return the cell of one side of the pair."""
    runtime = next(info for info in probe_all() if info.name == "onnxruntime")
    data = path.read_bytes()
    return Cell(
        trial=name,
        variant=Variant("fp32", "onnx", ArtifactRef(hashlib.sha256(data).hexdigest(), len(data))),
        runtime=runtime.name,
        runtime_version=runtime.version,
        environment="default",
        threads=threads,
        cores="all",
        cpus=sorted(os.sched_getaffinity(0)),
        batch=1,
        scenario="single-stream",
    )


def race_pair(cells: list[Cell], launch: Launch, tensor: Path, seconds: float, seed: int) -> list[Contender]:
    """Race two workers of one file for `seconds`."""
    contenders = [Contender(cell, TrialLog(cell.trial)) for cell in cells]
    for contender in contenders:
        contender.load(launch, tensor)
        contender.warm_up()
    watch = Watch(cpus=cells[0].cpus)
    race = Race(contenders, precision=0.0, seconds=seconds, watch=watch, order=random.Random(seed))
    race.run(threading.Event(), lambda _: None)
    for contender in contenders:
        contender.close()
    return contenders


def report(pair: list[Contender]) -> Ratio | None:
    """Print one pair's line; return its ratio over all bursts, void ones too when everything was void."""
    first, second = pair
    void = is_hopeless(first.log) or not any(burst.valid for burst in first.log.bursts)
    ratio = ratio_of(first.log, second.log, count_void=void)
    median = median_interval(groups_of(first.log, count_void=void))
    rounds = f"{first.log.quiet_rounds} quiet, {first.log.void_rounds} void rounds"
    if ratio is None or median is None:
        print(f"too few quiet blocks ({rounds})")
        return None
    print(
        f"ratio {ratio.value:.4f} +-{ratio.half_width:.2%} {'CLAIMED' if ratio.excludes_one else 'ok     '} "
        f"median {median.value * 1e3:.2f} ms +-{median.relative_half_width:.1%}  "
        f"{ratio.blocks} blocks, {rounds}",
        flush=True,
    )
    return ratio


def main() -> None:
    """Race the pairs and print how often a difference was claimed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--input", type=int, nargs="+", default=[1, 3, 352, 352], help="shape of the input")
    options = parser.parse_args()
    cells = [make_cell(name, options.model, options.threads) for name in ("A", "B")]
    ratios: list[Ratio] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tensor = Path(folder) / "input.npy"
        np.save(tensor, np.random.default_rng(0).random(options.input, dtype=np.float32))
        launch = Launch(
            pythons={"default": sys.executable},
            plugins={plugin.name: plugin for plugin in find_plugins()},
            files={cells[0].variant_sha256 or "": str(options.model)},
            scratch=folder,
            memory_bytes=None,
        )
        for seed in range(options.pairs):
            ratio = report(race_pair(cells, launch, tensor, options.seconds, seed))
            ratios += [ratio] if ratio else []
    claimed = sum(ratio.excludes_one for ratio in ratios)
    halves = sorted(ratio.half_width for ratio in ratios) or [float("nan")]
    print(
        f"claimed {claimed} of {len(ratios)}; half-width median {halves[len(halves) // 2]:.2%}, "
        f"worst {halves[-1]:.2%}; {options.seconds:g} s a pair, "
        f"{(time.monotonic() - began) / options.pairs:.1f} s with loading"
    )


if __name__ == "__main__":
    main()
