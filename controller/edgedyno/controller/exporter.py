"""Prometheus metrics: a collector over one snapshot of the fleet. It reads no database and keeps no state.

Labels never carry jobs, executions, times or error texts: their series would never end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec
from msgspec import Struct
from prometheus_client.core import (
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edgedyno.controller.rollout.metrics import rollout_families
from edgedyno.controller.rollout.view import RolloutView
from edgedyno.controller.service_metrics import ServiceState, service_families
from edgedyno.controller.store.boards import Board
from edgedyno.controller.verdict_metrics import ToldGroup, ToldVerdict, verdict_families
from edgedyno.core.messages import ExecutionRecord, ExecutionState, Telemetry
from edgedyno.core.result import Result, StageSummary
from edgedyno.core.stages import end_to_end_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CELL = (
    *("board", "model", "runtime", "runtime_version", "precision", "format", "variant"),
    *("threads", "cores", "batch", "scenario"),
)
STATES: tuple[str, ...] = get_args(ExecutionState)
# What a board may name itself is bounded, or one board could fill Prometheus.
MAX_READINGS = 64
MAX_RUNTIMES = 64
PERCENTILES = ("min", "p50", "mean", "p90", "p95", "p99", "p50_low", "p50_high")


class Cell(Struct, frozen=True):
    """The newest counted result of a cell, and whether the verdict recommends it; None: no verdict."""

    result: Result
    recommended: bool | None


class Snapshot(Struct, frozen=True):
    """Everything that is exported, at one moment."""

    boards: list[Board]
    last_seen_seconds: dict[str, float]
    telemetry: dict[str, Telemetry]
    executions: dict[tuple[str, str], int]
    """Counts by board and state."""
    running: list[ExecutionRecord]
    cells: list[Cell]
    verdicts: list[ToldVerdict]
    """The newest last."""
    groups: list[ToldGroup]
    service: ServiceState
    cells_left_out: int = 0
    """Older cells that are not exported, so that series stay bounded."""
    outliers: dict[tuple[str, str], bool] = {}
    """Whether a board stands out among its siblings, by board and quantity; boards that were compared only."""
    certificate_seconds: dict[tuple[str, str], float] = {}
    """Until each certificate ends, by kind (ca, server, controller, broker, board) and name."""
    rollouts: dict[str, RolloutView] = {}
    """How the newest job of each name stands."""


class FleetCollector(Collector):
    """Turns the snapshot that was set last into metric families."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def describe(self) -> Iterable[Metric]:
        """Name nothing beforehand: families depend on what boards there are."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the families of the current snapshot."""
        snapshot = self.snapshot
        if snapshot is None:
            return
        yield from _boards(snapshot)
        yield from _telemetry(snapshot)
        yield from _executions(snapshot)
        yield from _results(snapshot.cells)
        left_out = _gauge("result_cells_left_out", "Older cells that are not exported: they are too many.")
        left_out.add_metric([], snapshot.cells_left_out)
        yield left_out
        yield _outliers(snapshot.outliers)
        yield _certificates(snapshot.certificate_seconds)
        yield from rollout_families(snapshot.rollouts)
        yield from verdict_families(snapshot.verdicts, snapshot.groups)
        yield from service_families(snapshot.service)


def _gauge(name: str, text: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"edgedyno_{name}", text, labels=list(labels))


def _certificates(ends: dict[tuple[str, str], float]) -> Metric:
    family = _gauge(
        "certificate_seconds", "Until a certificate ends, by the wall clock; below 0 after.", ["kind", "name"]
    )
    for (kind, name), seconds in sorted(ends.items()):
        family.add_metric([kind, name], seconds)
    return family


def _boards(snapshot: Snapshot) -> Iterator[Metric]:
    online = _gauge("board_online", "Whether the board's agent is connected.", ["board"])
    drained = _gauge("board_drained", "Whether the board gets no new jobs.", ["board"])
    refuses = _gauge("board_refuses_work", "Whether the board takes no new jobs by itself.", ["board"])
    seen = _gauge("board_last_seen_seconds", "Time since the board was heard.", ["board"])
    info = InfoMetricFamily("edgedyno_board", "What the board is.", labels=["board"])
    memory = _gauge("board_memory_bytes", "Main memory of the board.", ["board"])
    for board in snapshot.boards:
        online.add_metric([board.board], board.online)
        drained.add_metric([board.board], board.drained)
        refuses.add_metric([board.board], board.refuses is not None)
        seen.add_metric([board.board], snapshot.last_seen_seconds[board.board])
        found = board.capabilities
        facts = {"agent_version": board.agent_version}
        if found is not None:
            facts |= {"profile": found.profile, "name": found.name, "arch": found.arch}
            facts |= {"kernel": found.kernel, "os": found.os}
            if found.memory_bytes is not None:
                memory.add_metric([board.board], found.memory_bytes)
        info.add_metric([board.board], facts)
    yield from (online, drained, refuses, seen, info, memory, _runtimes(snapshot.boards))


def _runtimes(boards: Iterable[Board]) -> Metric:
    available = _gauge(
        "board_runtime_available",
        "Whether a model ran in the runtime when the agent last looked.",
        ["board", "runtime", "runtime_version", "environment"],
    )
    for board in boards:
        for runtime in board.capabilities.runtimes[:MAX_RUNTIMES] if board.capabilities else []:
            labels = [board.board, runtime.name, runtime.version or "", runtime.environment]
            available.add_metric(labels, runtime.available)
    return available


def _telemetry(snapshot: Snapshot) -> Iterator[Metric]:
    temperature = _gauge("board_temperature_celsius", "Temperature now.", ["board", "sensor"])
    clock = _gauge("board_clock_hertz", "Clock now.", ["board", "cluster"])
    power = _gauge("board_power_watts", "Power now.", ["board", "source"])
    load = _gauge("board_load", "Load average over one minute.", ["board"])
    memory = _gauge("board_agent_resident_memory_bytes", "Memory of the agent.", ["board"])
    outbox = _gauge("board_outbox_messages", "Results that wait on the board.", ["board"])
    outbox_bytes = _gauge("board_outbox_bytes", "Size of the results that wait on the board.", ["board"])
    throttled = _gauge(
        "board_throttled",
        "Whether the board throttled since its last heartbeat; none where it cannot tell.",
        ["board"],
    )
    uptime = _gauge("board_agent_uptime_seconds", "Time since the agent started.", ["board"])
    for board, now in snapshot.telemetry.items():
        for family, readings in (
            (temperature, now.temperature_celsius),
            (clock, now.frequency_hz),
            (power, now.power_watts),
        ):
            for name, value in sorted(readings.items())[:MAX_READINGS]:
                family.add_metric([board, name[:64]], value)
        if now.throttle_visible:
            throttled.add_metric([board], bool(now.throttled))
        outbox.add_metric([board], now.outbox_depth)
        if now.outbox_bytes is not None:
            outbox_bytes.add_metric([board], now.outbox_bytes)
        uptime.add_metric([board], now.uptime_seconds)
        if now.load is not None:
            load.add_metric([board], now.load)
        if now.rss_bytes is not None:
            memory.add_metric([board], now.rss_bytes)
    yield from (temperature, clock, power, throttled, load, memory, outbox, outbox_bytes, uptime)


def _executions(snapshot: Snapshot) -> Iterator[Metric]:
    counts = _gauge("executions", "Executions by state.", ["board", "state"])
    for board in snapshot.boards:
        for state in STATES:
            counts.add_metric([board.board, state], snapshot.executions.get((board.board, state), 0))
    done = _gauge("execution_trials_done", "Finished trials of what the board runs.", ["board"])
    total = _gauge("execution_trials", "Trials of what the board runs.", ["board"])
    left = _gauge("execution_eta_seconds", "Estimated time to the end of what the board runs.", ["board"])
    phase = _gauge("execution_phase", "1 for the phase of what the board runs.", ["board", "phase"])
    stalled = _gauge("execution_stalled", "Whether the lease of what the board runs expired.", ["board"])
    leases = _gauge(
        "leases", "Executions that boards run: held, or expired because a board is silent.", ["state"]
    )
    expired = sum(record.stalled for record in snapshot.running)
    leases.add_metric(["held"], len(snapshot.running) - expired)
    leases.add_metric(["expired"], expired)
    online = {board.board for board in snapshot.boards if board.online}
    for record in snapshot.running:
        stalled.add_metric([record.board], record.stalled)
        # What a board that is gone was doing is no live figure any more.
        if record.progress is None or record.board not in online:
            continue
        done.add_metric([record.board], record.progress.trials_done)
        total.add_metric([record.board], record.progress.trials_total)
        phase.add_metric([record.board, record.progress.phase], 1)
        if record.progress.eta_seconds is not None:
            left.add_metric([record.board], record.progress.eta_seconds)
    yield from (counts, done, total, left, phase, stalled, leases)


def _outliers(flags: dict[tuple[str, str], bool]) -> Metric:
    family = _gauge(
        "board_outlier",
        "Whether the board is worse than its siblings beyond the intervals: slower, hungrier, hotter, throttled.",
        ["board", "quantity"],
    )
    for (board, quantity), flag in sorted(flags.items()):
        family.add_metric([board, quantity], flag)
    return family


def cell_of(result: Result) -> tuple[str, ...]:
    """Return the label values that name a result's cell."""
    return (
        result.board,
        result.model,
        result.runtime,
        result.runtime_version or "",
        result.precision,
        result.format,
        result.variant,
        str(result.threads),
        result.cores,
        str(result.batch),
        result.scenario,
    )


def _results(cells: list[Cell]) -> Iterator[Metric]:
    yield _latency(cells)
    yield from _accuracy(cells)
    yield from _energy(cells)
    simple: dict[str, tuple[str, Callable[[Result], float | None]]] = {
        "throughput_per_second": ("Inferences per second.", lambda r: r.throughput_per_second),
        "preprocess_seconds": ("Median time to prepare an image.", lambda r: _p50(r.preprocess_seconds)),
        "postprocess_seconds": ("Median time to decode an output.", lambda r: _p50(r.postprocess_seconds)),
        "end_to_end_seconds": ("Sum of the medians of all stages of an image.", end_to_end_seconds),
        "after_switch_seconds": (
            "What the first inference after a switch between trials costs more.",
            lambda r: r.after_switch_seconds.value if r.after_switch_seconds else None,
        ),
        "arrivals": (
            "Inputs that came by the clock.",
            lambda r: r.deadlines.arrivals if r.deadlines else None,
        ),
        "deadlines_missed": (
            "Of the arrivals, those answered too late or never.",
            lambda r: r.deadlines.missed if r.deadlines else None,
        ),
        "soak_slowdown_ratio": (
            "Last over first median of a soak: 1.1 is 10 % slower.",
            lambda r: r.soak.slowdown.value if r.soak else None,
        ),
        "settled": ("Whether the job's precision was reached.", lambda r: r.settled),
        "load_seconds": ("Time to load the variant.", lambda r: r.load_seconds),
        "first_inference_seconds": ("Time of the first inference.", lambda r: r.first_inference_seconds),
        "peak_resident_memory_bytes": ("Peak memory of the worker.", lambda r: r.peak_rss_bytes),
        "variant_size_bytes": ("Size of the variant's file.", lambda r: r.size_bytes),
        "valid": ("Whether the conditions make the result usable.", lambda r: r.validity.valid),
        "failed": ("Whether the trial failed.", lambda r: r.status == "failed"),
    }
    for name, (text, value_of) in simple.items():
        family = _gauge(f"result_{name}", text, CELL)
        for cell in cells:
            value = value_of(cell.result)
            if value is not None:
                family.add_metric(cell_of(cell.result), value)
        yield family
    recommended = _gauge("result_recommended", "Whether the newest verdict recommends the cell.", CELL)
    facts = [*CELL, "effective_precision", "power_source"]
    info = _gauge("result_info", "How the cell was run.", facts)
    for cell in cells:
        result = cell.result
        if cell.recommended is not None:
            recommended.add_metric(cell_of(result), cell.recommended)
        energy = result.energy_joules_per_inference
        extra = (result.effective_precision, energy and energy.source)
        info.add_metric([*cell_of(result), *(str(fact or "") for fact in extra)], 1)
    yield from (recommended, info)


def _p50(stage: StageSummary | None) -> float | None:
    return stage.p50 if stage else None


def _latency(cells: list[Cell]) -> Metric:
    family = _gauge("result_latency_seconds", "Seconds per inference in the steady state.", [*CELL, "stat"])
    for cell in cells:
        summary = cell.result.latency_seconds
        for stat in PERCENTILES if summary else ():
            value = getattr(summary, stat)
            if value is not None:
                family.add_metric([*cell_of(cell.result), stat], value)
    return family


def _accuracy(cells: list[Cell]) -> Iterator[Metric]:
    accuracy = _gauge("result_accuracy_ratio", "Accuracy from 0 to 1.", [*CELL, "metric", "stat"])
    drop = _gauge("result_accuracy_drop_ratio", "Accuracy lost against FP32.", [*CELL, "stat"])
    for cell in cells:
        labels = list(cell_of(cell.result))
        if cell.result.accuracy is not None:
            for stat, value in _bounds(cell.result.accuracy):
                accuracy.add_metric([*labels, cell.result.accuracy.metric, stat], value)
        if cell.result.accuracy_drop is not None:
            for stat, value in _bounds(cell.result.accuracy_drop):
                drop.add_metric([*labels, stat], value)
    yield from (accuracy, drop)


def _energy(cells: list[Cell]) -> Iterator[Metric]:
    energy = _gauge("result_energy_joules", "Energy per inference.", [*CELL, "stat"])
    power = _gauge("result_power_watts", "Power while it ran, and idle.", [*CELL, "stat"])
    for cell in cells:
        labels = list(cell_of(cell.result))
        if cell.result.energy_joules_per_inference is not None:
            for stat, value in _bounds(cell.result.energy_joules_per_inference):
                energy.add_metric([*labels, stat], value)
        if cell.result.power_watts is not None:
            power.add_metric([*labels, "mean"], cell.result.power_watts.mean)
            if cell.result.power_watts.idle is not None:
                power.add_metric([*labels, "idle"], cell.result.power_watts.idle)
    yield from (energy, power)


def _bounds(estimate: msgspec.Struct) -> Iterator[tuple[str, float]]:
    for stat in ("value", "low", "high"):
        value = getattr(estimate, stat)
        if value is not None:
            yield stat, value
