"""What the daemon and the runner's watching cost a measurement: two effects, each measured at its real rate.

One loaded worker runs bursts of a few inferences beside a real agent that sends heartbeats every 2 s, as it sends
progress while it measures. Watching (the board is looked at once a second, as in a race; the power meter reads, if
there is one) is switched on and off burst by burst in random order, so that drift cancels. The agent is left alone:
its scheduler statistics tell which bursts it ran in, and those are compared with the bursts around them; the share
of such bursts times what they take longer is what the agent costs. The first inference of each burst is dropped,
as a race drops it. Controller and broker run here too, which they rarely do beside a board's agent.
With --tree the power sensors of a recorded board are read instead, each at its default rate by the meter's own thread;
bursts in which a reading began or ended are compared with those around them. Programs (vcgencmd, ipmitool) are files
there: what starting one costs is not in it.
Usage: python benchmarks/overhead.py [--seconds S] [--threads T] [--no-daemon | --tree TREE].
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgedyno.agent.environments import find_plugins, probe_all
from edgedyno.agent.host.board import read_board
from edgedyno.agent.host.place import locate
from edgedyno.agent.measure.meter import Meter, open_meter
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.supervisor import Launch, Worker
from edgedyno.agent.measure.validity import Watch
from edgedyno.agent.sensors.base import Available
from edgedyno.agent.sensors.registry import probe_sensors
from edgedyno.core.manifest import ArtifactRef, Variant
from edgedyno.core.statistics import MIN_BLOCKS, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.sensors.base import Reading, Sensor, Unavailable

sys.path.insert(0, str(Path(__file__).parent.parent))

LIMIT = 0.002
LOOK_SECONDS = 1.0
BURST_SECONDS = 0.015
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
        fleet.stop_all()


def run_window(worker: Worker, count: int, seconds: float) -> list[float]:
    """Run bursts of `count` inferences for a while; return the seconds of each."""
    samples: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        samples += worker.burst(count, 1.0).latency_seconds
    return samples


def cpu_seconds(pid: int) -> float:
    """Return how long the threads of a process have run, from the scheduler (proc(5), schedstat)."""
    return (
        sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    )


class Burst(NamedTuple):
    """Seconds of one burst's steady inferences, and whether the agent ran meanwhile."""

    seconds: list[float]
    touched: bool


class Sampling:
    """What goes on beside a worker while it is measured; watching can be switched on and off."""

    def __init__(self, worker: Worker, agent: int | None, count: int) -> None:
        self._worker = worker
        self._agent = agent
        self.count = count
        self._watch = Watch(cpus=worker.cell.cpus)
        found = open_meter()
        self._meter = found if isinstance(found, Meter) else None
        self.words = "watching" + (" and power meter" if self._meter else "")
        self._pause = 0.0
        self._looked = 0.0
        self.looks = 0

    def burst(self, *, on: bool) -> Burst:
        """Run one burst, after a look where watching is on and one is due; else after as long a pause."""
        before = time.perf_counter()
        if on and before - self._looked > LOOK_SECONDS:
            self._look()
            self._pause = time.perf_counter() - before
        elif not on:
            time.sleep(self._pause)
            self._pause = 0.0
        ran = self._agent_seconds()
        samples = self._worker.burst(self.count, 1.0).latency_seconds
        return Burst(samples[1:], self._agent_seconds() > ran)

    def _agent_seconds(self) -> float:
        return cpu_seconds(self._agent) if self._agent else 0.0

    def _look(self) -> None:
        """End the window before and begin the next."""
        pids = [self._worker.pid]
        if self._looked:
            self._watch.stop(pids)
            if self._meter is not None:
                self._meter.stop()
        if self._meter is not None:
            self._meter.start(avoid_cpus=self._worker.cell.cpus)
        self._watch.start(pids)
        self._looked = time.perf_counter()
        self.looks += 1


class Noted:
    """A sensor that notes when it is read."""

    def __init__(self, sensor: Sensor) -> None:
        self._sensor = sensor
        self.spec = sensor.spec
        self.began = self.ended = 0

    def probe(self) -> Available | Unavailable:
        """Look as the sensor does."""
        return self._sensor.probe()

    def read(self) -> Reading | Unavailable:
        """Read as the sensor does."""
        self.began += 1
        try:
            return self._sensor.read()
        finally:
            self.ended += 1


class RecordedSensors:
    """The power sensors of a recorded board, all read at once while a worker runs."""

    def __init__(self, tree: Path) -> None:
        place = locate(tree)
        usable = [
            (Noted(each.sensor), each.found)
            for each in probe_sensors(place, read_board(place).profile)
            if each.sensor is not None and isinstance(each.found, Available)
        ]
        if not usable:
            raise SystemExit(f"{tree} has no power sensor that can be read")
        self._sensors = [sensor for sensor, _ in usable]
        self._meters = [Meter(sensor, found) for sensor, found in usable]
        self.words = ", ".join(
            f"{meter.sensor.spec.source} at {1 / meter.period_seconds:.3g} Hz" for meter in self._meters
        )

    @contextlib.contextmanager
    def read_beside(self, cpus: list[int]) -> Iterator[None]:
        """Read all of them until the end."""
        for meter in self._meters:
            meter.start(avoid_cpus=cpus)
        try:
            yield
        finally:
            for meter in self._meters:
                meter.stop()

    def marks(self) -> list[tuple[int, int]]:
        """Return how many readings began and ended."""
        return [(sensor.began, sensor.ended) for sensor in self._sensors]


def measure_sensors(tree: Path, *, threads: int, seconds: float) -> int:
    """Measure what reading a recorded board's sensors adds to an inference; 1 when it is shown to be above."""
    sensors = RecordedSensors(tree)
    bursts: list[Burst] = []
    with tempfile.TemporaryDirectory() as folder, loaded_worker(threads, Path(folder)) as worker:
        median = statistics.median(run_window(worker, 10, 0.5))
        count = max(3, round(BURST_SECONDS / median))
        used = time.process_time()
        with sensors.read_beside(worker.cell.cpus):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                before = sensors.marks()
                samples = worker.burst(count, 1.0).latency_seconds
                after = sensors.marks()
                in_one = any(began != ended for began, ended in before)
                bursts.append(Burst(samples[1:], touched=in_one or before != after))
        used = time.process_time() - used
    share, longer = agent_effect(bursts, "a sensor was read")
    cost = Effect(share * longer.value, share * longer.half_width)
    print(f"median {median * 1e3:.2f} ms, {len(bursts)} bursts of {count}; {sensors.words}")
    print(f"this process took {used / seconds:.2%} of a core, its bursts included")
    print(f"read in {share:.1%} of the bursts, which took {longer.words()} longer: {judged(cost)}")
    return 1 if cost.value - cost.half_width > LIMIT else 0


def main() -> int:
    """Measure bursts and print both effects beside the limit; 1 when it is shown to be above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-daemon", action="store_true", help="without broker, controller and agent")
    parser.add_argument("--tree", type=Path, help="read the power sensors of this recorded board instead")
    options = parser.parse_args()
    if options.tree:
        return measure_sensors(options.tree, threads=options.threads, seconds=options.seconds)
    order = random.Random(1)
    found: dict[bool, list[list[float]]] = {True: [], False: []}
    bursts: list[Burst] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_agent(Path(folder), wanted=not options.no_daemon) as agent,
        loaded_worker(options.threads, Path(folder)) as worker,
    ):
        median = statistics.median(run_window(worker, 10, 0.5))
        sampling = Sampling(worker, agent, max(3, round(BURST_SECONDS / median)))
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            first = order.random() < 0.5
            for on in (first, not first):
                bursts.append(sampling.burst(on=on))
                found[on].append(bursts[-1].seconds)
    ratio = paired_ratio(found[True], found[False])
    watching = Effect(math.log(ratio.value), ratio.half_width)
    print(f"median {median * 1e3:.2f} ms, {len(bursts)} bursts of {sampling.count}")
    print(f"{sampling.words}: {watching.words()}, {sampling.looks} looks, {ratio.blocks} pairs")
    total = watching
    if agent is not None:
        share, longer = agent_effect(bursts)
        cost = Effect(share * longer.value, share * longer.half_width)
        total = Effect(watching.value + cost.value, math.hypot(watching.half_width, cost.half_width))
        print(f"agent: ran in {share:.1%} of the bursts, which took {longer.words()} longer: {cost.words()}")
    print(f"together: {judged(total)}")
    return 1 if total.value - total.half_width > LIMIT else 0


class Effect(NamedTuple):
    """A relative change with half of its 95 % interval."""

    value: float
    half_width: float

    def words(self) -> str:
        """Write it in percent."""
        return f"{self.value:+.3%} +-{self.half_width:.3%}"


def judged(effect: Effect) -> str:
    """Write an effect beside the limit."""
    low, high = effect.value - effect.half_width, effect.value + effect.half_width
    verdict = "within" if high <= LIMIT else "above" if low > LIMIT else "not settled against"
    return f"{effect.words()}: {verdict} the limit {LIMIT:.1%}"


def agent_effect(bursts: list[Burst], what: str = "the agent ran") -> tuple[float, Effect]:
    """Return the share of bursts that were touched, and how much longer these took than those around them."""
    medians = [statistics.median(burst.seconds) for burst in bursts]
    touched = [index for index, burst in enumerate(bursts) if burst.touched and 0 < index < len(bursts) - 1]
    pairs = [
        ([medians[index]], [math.sqrt(medians[index - 1] * medians[index + 1])])
        for index in touched
        if not bursts[index - 1].touched and not bursts[index + 1].touched
    ]
    if len(pairs) < MIN_BLOCKS:
        raise SystemExit(f"{what} in {len(touched)} bursts, too few to tell: give it more --seconds")
    ratio = paired_ratio([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    return len(touched) / len(bursts), Effect(math.log(ratio.value), ratio.half_width)


if __name__ == "__main__":
    sys.exit(main())
