"""What the benchmarks of measuring share: workers of ONNX files, raced as a job would race them."""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from edgedyno.agent.capabilities import read_capabilities
from edgedyno.agent.environments import find_plugins
from edgedyno.agent.measure.contender import Contender
from edgedyno.agent.measure.journal import TrialLog
from edgedyno.agent.measure.placement import Placement, read_placement, restored_affinity
from edgedyno.agent.measure.planner import Cell
from edgedyno.agent.measure.race import Race, is_hopeless
from edgedyno.agent.measure.stopping import ratio_of
from edgedyno.agent.measure.supervisor import Launch
from edgedyno.agent.measure.validity import Watch
from edgedyno.core.manifest import ArtifactRef, Variant
from edgedyno.core.statistics import MIN_BLOCKS, paired_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedyno.core.board import Capabilities
    from edgedyno.core.statistics import Ratio

SAMPLES = Path(__file__).parent.parent / "profiles/edgedyno/profiles/samples/models"
FASTESTDET = SAMPLES / "fastestdet/FastestDet_352_fp32.onnx"
YOLOX_NANO = SAMPLES / "yolox_nano/yolox_nano_416_fp32.onnx"


class Entry(Struct, frozen=True):
    """One file to race."""

    name: str
    path: Path
    shape: tuple[int, ...]
    threads: int = 1


class Bench:
    """The board, and what workers are started with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.capabilities: Capabilities = read_capabilities()
        self.placement = read_placement(self.capabilities)
        self.runtime = next(info for info in self.capabilities.runtimes if info.name == "onnxruntime")

    def cell(self, entry: Entry) -> Cell:
        """Return the cell of a file on all cores."""
        data = entry.path.read_bytes()
        return Cell(
            trial=entry.name,
            variant=Variant("fp32", "onnx", ArtifactRef(hashlib.sha256(data).hexdigest(), len(data))),
            runtime=self.runtime.name,
            runtime_version=self.runtime.version,
            environment=self.runtime.environment,
            threads=entry.threads,
            cores="all",
            cpus=self.capabilities.core_sets["all"],
            batch=1,
            scenario="single-stream",
        )

    @contextmanager
    def loaded(self, entries: Sequence[Entry]) -> Iterator[list[Contender]]:
        """Load and warm up a worker for each file, and end them all."""
        contenders: list[Contender] = []
        try:
            contenders.extend(map(self._load, entries))
            threading.Event().wait(0.25)
            for contender in contenders:
                contender.park_if_spinning()
            yield contenders
        finally:
            for contender in contenders:
                contender.close()

    def _load(self, entry: Entry) -> Contender:
        tensor = self.folder / ("x".join(map(str, entry.shape)) + ".npy")
        if not tensor.exists():
            np.save(tensor, np.random.default_rng(0).random(entry.shape, dtype=np.float32))
        cell = self.cell(entry)
        launch = Launch(
            pythons={self.runtime.environment: sys.executable},
            plugins={plugin.name: plugin for plugin in find_plugins()},
            files={cell.variant_sha256 or "": str(entry.path)},
            scratch=str(self.folder),
            memory_bytes=None,
        )
        contender = Contender(cell, TrialLog(cell.trial))
        contender.load(launch, tensor)
        contender.warm_up()
        if contender.log.failure:
            raise SystemExit(f"{entry.path}: {contender.log.failure.text}")
        return contender

    def race(
        self,
        contenders: Sequence[Contender],
        *,
        seconds: float,
        seed: int,
        precision: float = 0.0,
        placement: Placement | None = None,
        loads: int = 1,
    ) -> None:
        """Race loaded workers; without a precision for all of `seconds`."""
        race = Race(
            contenders,
            precision=precision,
            seconds=seconds,
            watch=Watch(cpus=self.capabilities.core_sets["all"]),
            placement=placement or self.placement,
            order=random.Random(seed),
            loads=loads,
        )
        with restored_affinity():
            race.run(threading.Event(), lambda _: None)


@contextmanager
def open_bench() -> Iterator[Bench]:
    """Look at the board, with a folder for what is written."""
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(Path(folder))


def ratio_between(first: Contender, second: Contender) -> Ratio | None:
    """Return the ratio of two files over all valid blocks; over void ones too where nothing was quiet."""
    return ratio_of(first.log, second.log, count_void=_counts_void(first))


def ratio_of_processes(first: Contender, second: Contender) -> Ratio | None:
    """Return the same for the two processes alone: without what loading the files again would change."""
    void = _counts_void(first)
    ours, theirs = (_blocks(contender, count_void=void) for contender in (first, second))
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < MIN_BLOCKS:
        return None
    return paired_ratio([ours[block] for block in common], [theirs[block] for block in common])


def _counts_void(contender: Contender) -> bool:
    return is_hopeless(contender.log) or not any(burst.valid for burst in contender.log.bursts)


def _blocks(contender: Contender, *, count_void: bool) -> dict[int, list[float]]:
    bursts = [burst for burst in contender.log.bursts if burst.valid or count_void]
    return {burst.block: burst.latency_seconds[burst.after_switch :] for burst in bursts}


def clear(contenders: Sequence[Contender]) -> None:
    """Forget what was measured, and keep the workers."""
    for contender in contenders:
        kept = TrialLog(contender.log.trial, warmup_seconds=contender.log.warmup_seconds)
        contender.log = kept
