"""Trials whose runtime only imitates the device: accuracy and precision are real, times would mean nothing.

A runtime says so of itself: its probe's details hold `timing: simulated`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from edgedyno.agent.measure.planner import Plan
from edgedyno.core.manifest import Failure

if TYPE_CHECKING:
    from edgedyno.agent.measure.planner import Cell
    from edgedyno.core.board import Capabilities

REASON = "simulated: this runtime imitates the device on another processor, so its times tell nothing of it"


def is_simulated(cell: Cell, capabilities: Capabilities) -> bool:
    """Tell whether the cell's runtime cannot be timed."""
    return any(
        info.details.get("timing") == "simulated"
        for info in capabilities.runtimes
        if (info.name, info.version, info.environment) == (cell.runtime, cell.runtime_version, cell.environment)
    )


def without_repetitions(plan: Plan, capabilities: Capabilities) -> Plan:
    """Keep one simulated trial for each variant, runtime and batch: threads and cores change nothing in it."""
    trials: list[Cell] = []
    skipped = list(plan.skipped)
    seen: dict[tuple[str | None, str, str | None, int], Cell] = {}
    for cell in plan.trials:
        key = (cell.variant_sha256, cell.runtime, cell.runtime_version, cell.batch)
        if not is_simulated(cell, capabilities) or seen.setdefault(key, cell) is cell:
            trials.append(cell)
            continue
        text = f"{cell.runtime} simulates: threads and cores change nothing in it, one trial is enough"
        skipped.append(structs.replace(cell, failure=Failure("timing.simulated", text)))
    return Plan(trials, skipped)
