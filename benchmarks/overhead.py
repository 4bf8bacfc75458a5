"""What the daemon and the runner's sampling cost a measurement: the median with both on and off, in pairs.

One loaded worker runs bursts in short windows. On: a real agent sends heartbeats, every window is watched, and the
power meter reads, if there is one. Off: the agent's process is stopped (SIGSTOP), and nothing is read. Both come
in random order, pair after pair, so that drift cancels. On is harder than a real run: windows of a race are four
times as long, its daemon sends progress every 2 s as this one sends heartbeats, and controller and broker are
usually on another machine. Usage: python benchmarks/overhead.py [--seconds S] [--threads T] [--no-daemon].
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedyno.agent.environments import find_plugins, probe_all
from edgedyno.agent.measure.meter import Meter, open_meter
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.spread import mean_with_spread
from edgedyno.agent.measure.supervisor import Launch, Worker
from edgedyno.agent.measure.validity import Watch
from edgedyno.core.manifest import ArtifactRef, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).parent.parent))

LIMIT = 0.002
WINDOW_SECONDS = 0.25
BURST_SECONDS = 0.01
WARMUP_SECONDS = 2.0
DEFAULT = (
    Path(__file__).parent.parent
    / "profiles/edgedyno/profiles/samples/models/fastestdet/FastestDet_352_fp32.onnx"
)


def make_cell(threads: int) -> tuple[Cell, str]:
    """Return the cell of the one worker, and its file's hash."""
    runtime = next(info for info in probe_all() if info.name == "onnxruntime")
    data = DEFAULT.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    cell = Cell(
        trial="one",
        variant=Variant("fp32", "onnx", ArtifactRef(sha256, len(data))),
        runtime=runtime.name,
        runtime_version=runtime.version,
        environment="default",
        threads=threads,
        cores="all",
        cpus=sorted(os.sched_getaffinity(0)),
        batch=1,
        scenario="single-stream",
    )
    return cell, sha256


@contextlib.contextmanager
def loaded_worker(threads: int, folder: Path) -> Iterator[Worker]:
    """Start a worker, bind an input and warm it up."""
    cell, sha256 = make_cell(threads)
    tensor = folder / "input.npy"
    np.save(tensor, np.random.default_rng(0).random([1, 3, 352, 352], dtype=np.float32))
    launch = Launch(
        pythons={"default": sys.executable},
        plugins={plugin.name: plugin for plugin in find_plugins()},
        files={sha256: str(DEFAULT)},
        scratch=str(folder),
        memory_bytes=None,
    )
    with Worker(cell, launch) as worker:
        worker.bind(tensor)
        worker.first_inference()
        run_window(worker, 1, WARMUP_SECONDS)
        yield worker


@contextlib.contextmanager
def running_agent(folder: Path, *, wanted: bool) -> Iterator[int | None]:
    """Start a broker, a controller and an agent that beats every 2 s; give the agent's pid."""
    if not wanted:
        yield None
        return
    from tests.system.fleet import Fleet

    fleet = Fleet(folder)
    try:
        fleet.start_all()
        time.sleep(WARMUP_SECONDS)
        yield fleet.pid("agent")
    finally:
        with contextlib.suppress(KeyError):
            os.kill(fleet.pid("agent"), signal.SIGCONT)
        fleet.stop_all()


def run_window(worker: Worker, count: int, seconds: float) -> list[float]:
    """Run bursts of `count` inferences for a while; return the seconds of each."""
    samples: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        samples += worker.burst(count, 1.0).latency_seconds
    return samples


class Sampling:
    """What goes on beside a worker while it is measured, to be switched on and off."""

    def __init__(self, worker: Worker, agent: int | None) -> None:
        self._worker = worker
        self._agent = agent
        self._watch = Watch(cpus=worker.cell.cpus)
        found = open_meter()
        self._meter = found if isinstance(found, Meter) else None
        self.words = "watch" + (", agent" if agent else "") + (", power meter" if self._meter else "")
        self.void = 0

    def window(self, count: int, *, on: bool) -> float:
        """Return the median of one window."""
        if self._agent is not None:
            os.kill(self._agent, signal.SIGCONT if on else signal.SIGSTOP)
        if not on:
            return statistics.median(run_window(self._worker, count, WINDOW_SECONDS))
        pids = [self._worker.pid]
        if self._meter is not None:
            self._meter.start(avoid_cpus=self._worker.cell.cpus)
        self._watch.start(pids)
        samples = run_window(self._worker, count, WINDOW_SECONDS)
        self.void += not self._watch.stop(pids).validity.valid
        if self._meter is not None:
            self._meter.stop()
        return statistics.median(samples)


def main() -> int:
    """Measure pairs of windows and print the ratio beside the limit; 1 when it is shown to be above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-daemon", action="store_true", help="without broker, controller and agent")
    options = parser.parse_args()
    order = random.Random(1)
    logs: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_agent(Path(folder), wanted=not options.no_daemon) as agent,
        loaded_worker(options.threads, Path(folder)) as worker,
    ):
        median = statistics.median(run_window(worker, 10, 0.5))
        count = max(1, round(BURST_SECONDS / median))
        sampling = Sampling(worker, agent)
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            first = order.random() < 0.5
            medians = {on: sampling.window(count, on=on) for on in (first, not first)}
            logs.append(math.log(medians[True] / medians[False]))
    mean, half = mean_with_spread(logs)
    verdict = "within" if mean + half <= LIMIT else "above" if mean - half > LIMIT else "not settled against"
    print(
        f"on/off ({sampling.words}): {math.expm1(mean):+.3%} +-{half:.3%} on a median of {median * 1e3:.2f} ms, "
        f"{len(logs)} pairs of {WINDOW_SECONDS:g} s, {sampling.void} windows void: {verdict} the limit {LIMIT:.1%}"
    )
    return 1 if verdict == "above" else 0


if __name__ == "__main__":
    sys.exit(main())
