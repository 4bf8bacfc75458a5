"""From manifest and capabilities to trials; pure. Every cell of the sweep that is not run says why."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from edgedyno.agent.host.coresets import core_set, memory_node
from edgedyno.agent.measure.pairing import pairs
from edgedyno.core.errors import ConfigError
from edgedyno.core.manifest import Failure, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedyno.agent.measure.pairing import Engine
    from edgedyno.core.board import Capabilities
    from edgedyno.core.job import Sweep, Threads
    from edgedyno.core.manifest import Manifest


class Cell(Struct, frozen=True, kw_only=True):
    """One cell of the sweep: a trial to run, or one that is skipped for the reason in `failure`."""

    trial: str
    variant: Variant
    runtime: str
    runtime_version: str | None
    environment: str
    threads: int
    cores: str
    cpus: list[int]
    memory_node: int | None = None
    """The node that the worker's memory is bound to; None where the CPUs span nodes, or there is one only."""
    batch: int
    scenario: str
    failure: Failure | None = None

    @property
    def variant_sha256(self) -> str | None:
        """Content of the variant's file; None when it was not built."""
        return self.variant.file.sha256 if self.variant.file else None


class Plan(Struct, frozen=True):
    """What to run, and what not."""

    trials: list[Cell]
    skipped: list[Cell]


class _Placing(Struct, frozen=True):
    """Threads on a core set, or why not."""

    threads: int
    cores: str
    cpus: list[int]
    memory_node: int | None = None
    failure: Failure | None = None


def plan(manifest: Manifest, capabilities: Capabilities) -> Plan:
    """Lay out the sweep; cells that come out the same are kept once."""
    cells: dict[str, Cell] = {}
    for cell in _cells(manifest, capabilities):
        cells.setdefault(cell.trial, cell)
    return Plan(
        [cell for cell in cells.values() if cell.failure is None],
        [cell for cell in cells.values() if cell.failure is not None],
    )


def _cells(manifest: Manifest, capabilities: Capabilities) -> Iterator[Cell]:
    sweep = manifest.sweep
    placings = list(_placings(sweep, capabilities))
    for variant, engine in pairs(manifest, capabilities.runtimes):
        for placing in placings:
            for batch in sweep.batch:
                yield _cell(sweep, variant, engine, placing, batch)


def _cell(sweep: Sweep, variant: Variant, engine: Engine, placing: _Placing, batch: int) -> Cell:
    scenario = scenario_name(sweep)
    return Cell(
        trial=_trial_id(variant, engine, placing, batch, scenario),
        variant=variant,
        runtime=engine.name,
        runtime_version=engine.version,
        environment=engine.environment,
        threads=placing.threads,
        cores=placing.cores,
        cpus=placing.cpus,
        memory_node=placing.memory_node,
        batch=batch,
        scenario=scenario,
        failure=variant.failure or engine.failure or placing.failure,
    )


def _trial_id(variant: Variant, engine: Engine, placing: _Placing, batch: int, scenario: str) -> str:
    unbuilt = "/".join(filter(None, (variant.precision, variant.format, variant.name)))
    what = variant.file.sha256 if variant.file else unbuilt
    words = [what, engine.name, engine.version or "", placing.threads, placing.cores, batch, scenario]
    return hashlib.sha256("\n".join(str(word) for word in words).encode()).hexdigest()[:16]


def scenario_name(sweep: Sweep) -> str:
    """Write the scenario as results name it, such as `fixed-rate 30 fps`."""
    scenario = sweep.scenario
    if isinstance(scenario, str):
        return scenario
    if scenario.fixed_rate is not None:
        return f"fixed-rate {scenario.fixed_rate.fps:g} fps"
    if scenario.throughput is not None:
        return f"throughput {scenario.throughput.streams} streams"
    if scenario.soak is not None:
        return f"soak {scenario.soak.minutes:g} min"
    return "none"


def _placings(sweep: Sweep, capabilities: Capabilities) -> Iterator[_Placing]:
    board = len(board_cpus(capabilities))
    for cores in dict.fromkeys(sweep.cores):
        cpus, failure = _core_set(cores, capabilities)
        node = memory_node(cpus, capabilities) if cpus else None
        for threads in dict.fromkeys(sweep.threads):
            placing = _place(threads, cores, cpus, failure, board)
            yield structs.replace(placing, memory_node=node)


def board_cpus(capabilities: Capabilities) -> list[int]:
    """Return every CPU of the board."""
    listed = {cpu for cluster in capabilities.cpu.clusters for cpu in cluster.cpus}
    return sorted(listed | {cpu for cpus in capabilities.core_sets.values() for cpu in cpus})


def _core_set(name: str, capabilities: Capabilities) -> tuple[list[int], Failure | None]:
    try:
        return core_set(name, capabilities), None
    except ConfigError as error:
        return [], Failure(error.code, str(error))


def _place(threads: Threads, cores: str, cpus: list[int], failure: Failure | None, board: int) -> _Placing:
    """Clip threads to the core set; more than the whole board has is a cell that is skipped."""
    if failure is not None:
        return _Placing(threads if isinstance(threads, int) else 0, cores, cpus, failure=failure)
    if threads == "all":
        return _Placing(len(cpus), cores, cpus)
    if threads > board:
        text = f"{threads} threads asked, the core set {cores!r} has {len(cpus)} CPUs"
        return _Placing(threads, cores, cpus, failure=Failure("threads.beyond", text))
    return _Placing(min(threads, len(cpus)), cores, cpus)
