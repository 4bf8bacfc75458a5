"""One worker with one loaded variant: started, asked with deadlines, ended; its failures are values.

The only place where measuring talks to a worker. It blocks on the pipe while the worker works.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from edgedyno.agent.worker.process import Plugin, WorkerError, WorkerProcess
from edgedyno.core.errors import RunError
from edgedyno.core.manifest import Failure
from edgedyno.core.result import OperatorProfile, OperatorTime
from edgedyno.core.run import Fence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from edgedyno.agent.measure.planner import Cell


class Deadlines(Struct, frozen=True):
    """How long a worker may take before it counts as hung, in seconds."""

    start: float = 60.0
    load: float = 300.0  # TVM and TensorRT build engines for minutes
    first: float = 120.0
    burst_floor: float = 20.0
    burst_factor: float = 50.0
    """Times the burst's expected duration: a throttled or crowded board is slow, not hung."""
    precision: float = 120.0

    def burst(self, expected_seconds: float) -> float:
        """Return the deadline of a burst that should take `expected_seconds`."""
        return self.burst_floor + self.burst_factor * expected_seconds


class TrialError(RunError):
    """A trial cannot go on: `failure` says why; the runner goes on with the others."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text, code=failure.code)
        self.failure = failure


class BurstAnswer(Struct, frozen=True):
    """What a worker measured in one burst."""

    latency_seconds: list[float]
    started_monotonic_seconds: float
    ended_monotonic_seconds: float
    cpu_seconds: float
    run_delay_seconds: float
    waited_seconds: float
    """Since the last burst."""
    waiting_cpu_seconds: float
    """CPU time of all its threads meanwhile."""


class Check(Struct, frozen=True):
    """Where a worker's threads and memory are."""

    peak_rss_bytes: int
    strayed: str | None
    """What left the core set, or computed beside the threads that were asked for."""
    found: dict[str, int | float | str]
    """What is known of memory and threads, for the result's conditions."""


class PacedAnswer(Struct, frozen=True):
    """What a worker measured while inputs arrived by the clock."""

    switch_seconds: float
    """Of the inference before the first arrival."""
    latency_seconds: list[float]
    """From the arrival by schedule, of each input that was answered."""
    invoke_seconds: list[float]
    late_seconds: list[float]
    """From the arrival to waking up, of each input that was waited for."""
    started_monotonic_seconds: float
    ended_monotonic_seconds: float
    cpu_seconds: float
    run_delay_seconds: float


class StreamAnswer(Struct, frozen=True):
    """What a worker measured as one of several streams."""

    started_monotonic_seconds: list[float]
    """Of each inference."""
    latency_seconds: list[float]
    cpu_seconds: float
    run_delay_seconds: float


class OutputPlace(Struct, frozen=True):
    """Where in a shared file one output of an inference lies."""

    dtype: str
    """As numpy's array protocol writes it, such as `<f4`."""
    shape: list[int]
    offset: int


class Shown(Struct, frozen=True):
    """What came of an inference in shared files."""

    outputs: list[OutputPlace]
    waiting_cpu_ratio: float
    """CPU time of all the worker's threads while it waited before this, of that time."""


class Launch(Struct, frozen=True):
    """What every worker of an execution is started with."""

    pythons: dict[str, str]
    """Interpreter by name of the environment."""
    plugins: dict[str, Plugin]
    files: dict[str, str]
    scratch: str
    memory_bytes: int | None
    deadlines: Deadlines = Deadlines()
    fence: Fence | None = None


class Worker:
    """A live worker with the variant of one cell loaded; use it as a context manager."""

    def __init__(self, cell: Cell, launch: Launch, files: Sequence[int] = ()) -> None:
        """Start the process, which shares these open files, and load the variant; raises TrialError."""
        self.cell = cell
        self._deadlines = launch.deadlines
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        self._process: WorkerProcess | None = None
        self._parked = False
        self.inputs: list[dict[str, Any]] = []
        """The loaded model's inputs, as its file declares them: fields of the plugins' TensorSpec."""
        try:
            self._process = self._start(launch, files)
            self.load_seconds = self._load(launch)
        except TrialError:
            self.close()
            raise

    def _start(self, launch: Launch, files: Sequence[int]) -> WorkerProcess:
        python = launch.pythons.get(self.cell.environment)
        plugin = launch.plugins.get(self.cell.runtime)
        if python is None or plugin is None:
            text = (
                f"no interpreter or plugin for {self.cell.runtime} in environment {self.cell.environment!r}"
            )
            raise TrialError(Failure("runtime.unavailable", text))
        try:
            process = WorkerProcess(python, self._log, files)
        except WorkerError as error:
            raise TrialError(_not_started(self.cell, python, error)) from error
        self._process = process
        answer = self._ask(
            "start",
            self._deadlines.start,
            plugin=plugin._asdict(),
            cpus=self.cell.cpus,
            memory_bytes=launch.memory_bytes,
            memory_node=self.cell.memory_node,
            fence=msgspec.structs.asdict(launch.fence) if launch.fence else None,
        )
        self._memory_refused: str | None = answer["memory_refused"]
        return process

    def _load(self, launch: Launch) -> float:
        path = launch.files.get(self.cell.variant_sha256 or "")
        if path is None:
            raise TrialError(Failure("artifact.missing", f"no file for variant {self.cell.variant_sha256}"))
        answer = self._ask(
            "load",
            self._deadlines.load,
            model=path,
            threads=self.cell.threads,
            batch=self.cell.batch,
            scratch=launch.scratch,
        )
        self.inputs = list(answer.get("inputs", []))
        return float(answer["load_seconds"])

    def _ask(self, op: str, deadline_seconds: float, **arguments: object) -> dict[str, Any]:
        if self._process is None:
            raise TrialError(Failure("worker.gone", f"the worker is gone, cannot {op}"))
        try:
            if self._parked:
                self._process.go_on()
            answer = self._process.ask(op, deadline_seconds, **arguments)
            if self._parked:
                self._process.halt()
        except WorkerError as error:
            if error.fatal:
                self.close()
            raise TrialError(Failure(error.code, str(error))) from error
        return answer

    @property
    def pid(self) -> int:
        """Process id; 0 when it is gone."""
        return self._process.pid if self._process else 0

    def bind(self, tensor: Path) -> None:
        """Bind the prepared tensor in the file `tensor` as input."""
        self._ask("bind", self._deadlines.first, path=str(tensor))

    def first_inference(self) -> float:
        """Run the first inference; return its seconds."""
        return self._burst(1, self._deadlines.first).latency_seconds[0]

    def burst(self, count: int, expected_seconds: float) -> BurstAnswer:
        """Run `count` inferences; `expected_seconds` for all of them sets the deadline."""
        return self._burst(count, self._deadlines.burst(expected_seconds))

    def _burst(self, count: int, deadline_seconds: float) -> BurstAnswer:
        answer = self._ask("burst", deadline_seconds, count=count)
        return BurstAnswer(
            [nanoseconds / 1e9 for nanoseconds in answer["latency_ns"]],
            answer["started_ns"] / 1e9,
            answer["ended_ns"] / 1e9,
            answer["cpu_ns"] / 1e9,
            answer["run_delay_ns"] / 1e9,
            answer["waited_ns"] / 1e9,
            answer["waiting_cpu_ns"] / 1e9,
        )

    def place(self, cpus: list[int]) -> None:
        """Move every thread of the worker to these CPUs."""
        self._ask("place", self._deadlines.start, cpus=cpus)

    def park(self) -> None:
        """Halt the process between commands from now on: its runtime spins while it waits."""
        self._parked = True
        if self._process is not None:
            self._process.halt()

    def paced(self, period_seconds: float, arrivals: int, inference_seconds: float) -> PacedAnswer:
        """Answer `arrivals` inputs that come every `period_seconds`; an inference's seconds set the deadline."""
        expected = arrivals * max(period_seconds, inference_seconds)
        answer = self._ask(
            "paced", self._deadlines.burst(expected), period_ns=round(period_seconds * 1e9), arrivals=arrivals
        )
        return PacedAnswer(
            answer["switch_ns"] / 1e9,
            _seconds(answer["latency_ns"]),
            _seconds(answer["invoke_ns"]),
            _seconds(answer["late_ns"]),
            answer["started_ns"] / 1e9,
            answer["ended_ns"] / 1e9,
            answer["cpu_ns"] / 1e9,
            answer["run_delay_ns"] / 1e9,
        )

    def stream(self, start_monotonic_seconds: float, seconds: float) -> StreamAnswer:
        """Infer for `seconds` from a moment of the monotonic clock on."""
        answer = self._ask(
            "stream",
            self._deadlines.burst(seconds),
            start_ns=round(start_monotonic_seconds * 1e9),
            seconds=seconds,
        )
        return StreamAnswer(
            _seconds(answer["started_ns"]),
            _seconds(answer["latency_ns"]),
            answer["cpu_ns"] / 1e9,
            answer["run_delay_ns"] / 1e9,
        )

    def infer(self, tensor: Path, folder: Path, name: str) -> list[str]:
        """Infer one prepared tensor; return the files of its outputs."""
        answer = self._ask("infer", self._deadlines.first, path=str(tensor), folder=str(folder), name=name)
        return list(answer["outputs"])

    def show(self, tensor: int, shape: Sequence[int], output: int) -> Shown:
        """Infer the tensor in one shared open file, write the outputs to another; return where they lie."""
        answer = self._ask(
            "show", self._deadlines.first, tensor_fd=tensor, shape=list(shape), output_fd=output
        )
        return Shown(
            msgspec.convert(answer["outputs"], list[OutputPlace]),
            answer["waiting_cpu_ns"] / max(answer["waited_ns"], 1),
        )

    def effective_precision(self) -> tuple[str, str]:
        """Return what really ran on what was bound last, in the runtime's own account: a word, and its detail."""
        answer = self._ask("precision", self._deadlines.precision)
        return str(answer["effective_precision"]), str(answer["detail"])

    def profile(self) -> OperatorProfile:
        """Return the time of each operator on what was bound last; raises TrialError where it cannot be told."""
        answer = self._ask("profile", self._deadlines.precision)
        return OperatorProfile(
            trial=self.cell.trial,
            runtime=self.cell.runtime,
            inferences=int(answer["inferences"]),
            operators=msgspec.convert(answer["operators"], list[OperatorTime]),
            source=str(answer["source"]),
        )

    def check(self) -> Check:
        """See that threads and memory are where they should be."""
        answer = self._ask("check", self._deadlines.start)
        cell = self.cell
        strayed = []
        if answer["strayed_threads"]:
            count, total = answer["strayed_threads"], answer["threads"]
            strayed.append(f"{count} of {total} threads may run outside the core set {cell.cores!r}")
        computing = answer["computing_threads"]
        if computing is not None and computing > cell.threads and cell.scenario == "single-stream":
            strayed.append(f"{computing} threads computed, {cell.threads} asked")
        found = {
            "computing_threads": computing,
            "memory_node": None if self._memory_refused else cell.memory_node,
            "memory_node_refused": self._memory_refused,
            "memory_strayed_ratio": answer["memory_strayed_ratio"],
        }
        kept = {name: value for name, value in found.items() if value is not None}
        return Check(int(answer["peak_rss_bytes"]), "; ".join(strayed) or None, kept)

    def close(self) -> None:
        """End the process, by force where it does not end by itself."""
        process, self._process = self._process, None
        if process is not None:
            process.go_on()
            process.close()
        self._log.close()

    def __enter__(self) -> Worker:  # noqa: PYI034 - typing.Self needs Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _not_started(cell: Cell, python: str, error: WorkerError) -> Failure:
    """Say that the environment has gone since it was probed, where that is why its interpreter does not start."""
    if Path(python).exists():
        return Failure(error.code, str(error))
    text = f"the environment {cell.environment!r} is gone: found no {python}, which had {cell.runtime} before"
    return Failure("runtime.gone", text)


def _seconds(nanoseconds: list[int]) -> list[float]:
    return [each / 1e9 for each in nanoseconds]
