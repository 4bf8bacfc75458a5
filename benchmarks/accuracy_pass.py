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
from typing import TYPE_CHECKING

import msgspec
import numpy as np
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

    def unavoidable(self, worker: Worker) -> float:
        """Return the seconds of decoding an image file and of inferring, mean over all images."""
        began = time.perf_counter()
        for image in self.manifest.images:
            read_pixels(Path(self.launch.files[image.file.sha256]).read_bytes())
        decoded = time.perf_counter() - began
        count = len(self.manifest.images)
        return (decoded + sum(worker.burst(count, 60.0).latency_seconds)) / count

    def whole(self, between: Callable[[int], None] = lambda _: None) -> float:
        """Return the seconds of a pass for an image, until the last prediction is on disk; of a warm worker."""
        self._rounds += 1
        journal = Journal(self.folder / str(self._rounds))
        key = pass_key(self.cell)
        references = References([], self.manifest.model.input, journal.folder / "fp32")
        with Group([(key, self.cell)], self.manifest, self.launch, journal, references) as group:
            warm = math.nan

            def tell(done: int) -> None:
                nonlocal warm
                warm = time.perf_counter() if done == WARM_IMAGES else warm
                between(done)

            group.run(threading.Event(), tell)
            seconds = time.perf_counter() - warm
            group.viewers[0].conclude(self.tensor, references)
        log = journal.accuracy_pass(key)
        if log is None or log.predictions_sha256 is None:
            raise SystemExit(f"the pass failed: {log and log.reason}")
        return seconds / (len(self.manifest.images) - WARM_IMAGES)


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
    ratios = []
    with Worker(setting.cell, setting.launch) as worker:
        worker.bind(setting.tensor)
        worker.burst(20, 20.0)
        setting.whole()
        for index in range(rounds):
            first = setting.unavoidable(worker) if index % 2 else None
            whole = setting.whole()
            alone = first or setting.unavoidable(worker)
            ratios.append(math.log(whole / alone))
            print(f"{alone * 1e3:8.2f} ms unavoidable {whole * 1e3:8.2f} ms pass, an image")
    logs = np.array(ratios)
    half = (
        student_quantile(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
        if len(logs) > 1
        else math.inf
    )
    low, middle, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
    print(
        f"\npass over inference and decoding: {middle:.3f} (95 %: {low:.3f} to {high:.3f}), {rounds} pairs\n"
    )


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
