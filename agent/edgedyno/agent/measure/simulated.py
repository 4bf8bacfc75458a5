"""Trials whose runtime only imitates the device, and those that would be the same trial again.

A simulator's accuracy and precision are real, its times would mean nothing. A runtime says so of itself: its
probe's details hold `timing: simulated`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from edgedyno.agent.measure.planner import Plan
from edgedyno.core.manifest import Failure
from edgedyno.core.result import SIMULATED

if TYPE_CHECKING:
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.core.board import Capabilities

REASON = (
    f"{SIMULATED}: this runtime imitates the device on another processor, so its times tell nothing of it"
)


def is_simulated(cell: Cell, capabilities: Capabilities) -> bool:
    """Tell whether the cell's runtime cannot be timed."""
    return _details(cell, capabilities).get("timing") == "simulated"


def _details(cell: Cell, capabilities: Capabilities) -> dict[str, str]:
    """Return what the cell's runtime told of itself when it was probed."""
    wanted = (cell.runtime, cell.runtime_version, cell.environment)
    found = [
        info.details
        for info in capabilities.runtimes
        if (info.name, info.version, info.environment) == wanted
    ]
    return found[0] if found else {}


def without_repetitions(plan: Plan, capabilities: Capabilities) -> Plan:
    """Keep one trial of those that differ in nothing but what their runtime takes no notice of.

    A simulator takes none of threads and cores; a runtime whose probe's details hold `threads: none`, such as
    one on a GPU, none of threads.
    """
    trials: list[Cell] = []
    skipped = list(plan.skipped)
    seen: dict[tuple[object, ...], Cell] = {}
    for cell in plan.trials:
        ignored = _ignored(cell, capabilities)
        if ignored is None or seen.setdefault(_what_counts(cell, ignored), cell) is cell:
            trials.append(cell)
            continue
        text = f"{ignored} change nothing on {cell.runtime}: one trial is enough"
        skipped.append(structs.replace(cell, failure=Failure("threads.ignored", text)))
    return Plan(trials, skipped)


def _ignored(cell: Cell, capabilities: Capabilities) -> str | None:
    details = _details(cell, capabilities)
    if details.get("timing") == "simulated":
        return "threads and cores"
    return "threads" if details.get("threads") == "none" else None


def _what_counts(cell: Cell, ignored: str) -> tuple[object, ...]:
    cores = "" if ignored == "threads and cores" else cell.cores
    return (cell.variant_sha256, cell.runtime, cell.runtime_version, cell.environment, cell.batch, cores)
