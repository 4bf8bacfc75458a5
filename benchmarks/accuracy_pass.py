"""What an accuracy pass costs beyond its two unavoidable parts, and whether its memory stays flat.

Unavoidable are inferring each image and decoding each image file, one after the other and nothing else. Rounds of
those two alone and of the whole pass over the same images take turns; the ratio of each pair counts. Then one pass
over many images tells the runner's memory on the way.
Usage: python benchmarks/accuracy_pass.py [--model FILE --profile NAME] [--threads N] [--rounds N] [--images N]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import psutil
from pairs import FASTESTDET, Bench, Entry

from edgedyno.agent.environments import find_plugins
from edgedyno.agent.measure.accuracy import Group, pass_key
from edgedyno.agent.measure.fidelity import References
from edgedyno.agent.measure.inputs import write_latency_input
from edgedyno.agent.measure.journal import Journal
from edgedyno.agent.measure.supervisor import Launch, Worker
from edgedyno.controller.lab.profiles import find_profile, packaged
from edgedyno.core.job import Measure, Sweep
from edgedyno.core.manifest import ArtifactRef, Image, Manifest
from edgedyno.core.profile import ModelProfile
from edgedyno.core.statistics import student_quantile
from edgedyno.core.vision import read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedyno.agent.measure.planner import Cell

PICTURES = Path(__file__).parent.parent / "profiles/edgedyno/profiles/samples/data/coco_ccby/images"
EARLY = 100
STEPS = 10
WARM_IMAGES = 5


class Cost(NamedTuple):
    """Seconds on the wall, and of CPU time of runner and workers together."""

    wall_seconds: float
    cpu_seconds: float

    def since(self, before: Cost, images: int) -> Cost:
        """Return what passed since then, for each image."""
        return Cost(*((now - then) / images for now, then in zip(self, before, strict=True)))


class Setting:
    """One model on one runtime, and pictures for it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        bench = Bench(folder)
        self.folder = folder
        self.pictures = sorted(Path(options.pictures).glob("*.jpg"))
        model = Path(options.model)
        self.cell: Cell = bench.cell(Entry("pass", model, (), options.threads))
        profile = find_profile(options.profile, ModelProfile, base=packaged("models")).profile
        self.manifest = Manifest(
            "job",
            "job.here",
            profile,
            [self.cell.variant],
            Sweep(),
            Measure(),
            images=self._images(options.per_round),
        )
        files = {str(index): str(path) for index, path in enumerate(self.pictures)}
        self.launch = Launch(
            pythons={bench.runtime.environment: sys.executable},
            plugins={plugin.name: plugin for plugin in find_plugins()},
            files={**files, str(self.cell.variant_sha256): str(model)},
            scratch=str(folder),
            memory_bytes=None,
        )
        self.tensor = folder / "input.npy"
        write_latency_input(self.manifest, self.launch.files, self.tensor)
        self._rounds = 0

    def _images(self, count: int) -> list[Image]:
        return [Image(index, ArtifactRef(str(index % len(self.pictures)), 0)) for index in range(count)]

    def with_images(self, count: int) -> None:
        """Show so many images from now on, the same ones over and over."""
        self.manifest = msgspec.structs.replace(self.manifest, images=self._images(count))

    def unavoidable(self, worker: Worker) -> Cost:
        """Return what decoding an image file and inferring cost, mean over all images."""
        before = _now()
        for image in self.manifest.images:
            read_pixels(Path(self.launch.files[image.file.sha256]).read_bytes())
        worker.burst(len(self.manifest.images), 60.0)
        return _now().since(before, len(self.manifest.images))

    def whole(self, between: Callable[[int], None] = lambda _: None) -> Cost:
        """Return what a pass costs for an image, until the last prediction is on disk; of a warm worker."""
        self._rounds += 1
        journal = Journal(self.folder / str(self._rounds))
        key = pass_key(self.cell)
        references = References([], self.manifest.model.input, journal.folder / "fp32")
        with Group([(key, self.cell)], self.manifest, self.launch, journal, references) as group:
            warm = _now()

            def tell(done: int) -> None:
                nonlocal warm
                warm = _now() if done == WARM_IMAGES else warm
                between(done)

            group.run(threading.Event(), tell)
            cost = _now().since(warm, len(self.manifest.images) - WARM_IMAGES)
            group.viewers[0].conclude(self.tensor, references)
        log = journal.accuracy_pass(key)
        if log is None or log.predictions_sha256 is None:
            raise SystemExit(f"the pass failed: {log and log.reason}")
        return cost


def _now() -> Cost:
    children = (child.cpu_times() for child in psutil.Process().children(recursive=True))
    cpu = time.process_time() + sum(times.user + times.system for times in children)
    return Cost(time.perf_counter(), cpu)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(FASTESTDET))
    parser.add_argument("--profile", default="fastestdet", help="of the model, by its name")
    parser.add_argument("--pictures", default=str(PICTURES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--per-round", type=int, default=85)
    parser.add_argument(
        "--images", type=int, default=2000, help="of the pass that memory is watched in; 0: none"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder), options)
        if options.rounds:
            _compare(setting, options.rounds)
        if options.images:
            setting.with_images(options.images)
            _watch_memory(setting)


def _compare(setting: Setting, rounds: int) -> None:
    ratios: list[list[float]] = []
    with Worker(setting.cell, setting.launch) as worker:
        worker.bind(setting.tensor)
        worker.burst(20, 20.0)
        setting.whole()
        for index in range(rounds):
            first = setting.unavoidable(worker) if index % 2 else None
            whole = setting.whole()
            alone = first or setting.unavoidable(worker)
            ratios.append([math.log(one / other) for one, other in zip(whole, alone, strict=True)])
            print(
                "  ".join(
                    f"{name} {_milliseconds(cost)}" for name, cost in (("alone", alone), ("pass", whole))
                )
            )
    for name, logs in zip(("time", "CPU time"), np.array(ratios).T, strict=True):
        half = (
            student_quantile(0.975, rounds - 1) * logs.std(ddof=1) / rounds**0.5 if rounds > 1 else math.inf
        )
        low, middle, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
        print(f"{name} of the pass over inference and decoding: {middle:.3f} (95 %: {low:.3f} to {high:.3f})")


def _milliseconds(cost: Cost) -> str:
    return f"{cost.wall_seconds * 1e3:7.2f} ms ({cost.cpu_seconds * 1e3:7.2f} ms of CPU)"


def _watch_memory(setting: Setting) -> None:
    total = len(setting.manifest.images)
    marks = {EARLY, *(total * step // STEPS for step in range(1, STEPS + 1))}

    def between(done: int) -> None:
        if done in marks:
            print(f"{done:8} images {_rss_bytes() / 2**20:8.1f} MiB of the runner")

    setting.whole(between)


def _rss_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
